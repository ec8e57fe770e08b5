//! An embedded Stigg API, written from the API's own documents.
