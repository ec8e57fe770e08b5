//! Bodies of requests. Of an import's only the records differ from one to the next, and they are JSON already: what stands
//! before them is written once, and they are shared with the batch.

use bytes::Bytes;

use crate::entity::Entity;
use crate::sink::Operation;
use crate::sink::transport::RequestBody;

/// Operation name and document, up to the variables' value, with room for as many bytes more. Documents need no escaping (a
/// test holds them to it).
pub(super) fn head(operation: Operation, document: &str, more_bytes: usize) -> Vec<u8> {
    let name = operation.name();
    let mut body = Vec::with_capacity(name.len() + document.len() + 64 + more_bytes);
    for part in ["{\"operationName\":\"", name, "\",\"query\":\"", document, "\",\"variables\":"] {
        body.extend_from_slice(part.as_bytes());
    }
    body
}

/// What stands before the records of an import.
pub(super) fn import_head(entity: Entity, document: &str, integration_id: Option<&str>) -> Bytes {
    let (argument, list, has_integration) = match entity {
        Entity::Customer => ("input", "customers", true),
        Entity::Subscription => ("input", "subscriptions", true),
        Entity::Usage => ("input", "usages", false),
        Entity::Event => ("events", "usageEvents", false),
    };
    let integration = match integration_id.filter(|_| has_integration) {
        Some(id) => format!("\"integrationId\":{},", serde_json::Value::from(id)),
        None => String::new(),
    };
    let variables = format!("{{\"{argument}\":{{{integration}\"{list}\":[");
    let mut head = head(Operation::of(entity), document, variables.len());
    head.extend_from_slice(variables.as_bytes());
    head.into()
}

/// The body of an import: `records` are JSON objects with commas between them.
pub(super) fn import(head: Bytes, records: Bytes) -> RequestBody {
    RequestBody::of([head, records, Bytes::from_static(b"]}}}")])
}

/// The heads of the imports by the operations' own documents.
#[derive(Clone)]
pub(super) struct Imports {
    customers: Bytes,
    subscriptions: Bytes,
    usage: Bytes,
    events: Bytes,
}

impl Imports {
    pub(super) fn new(integration_id: Option<&str>) -> Self {
        let head = |entity| import_head(entity, Operation::of(entity).document(), integration_id);
        Self {
            customers: head(Entity::Customer),
            subscriptions: head(Entity::Subscription),
            usage: head(Entity::Usage),
            events: head(Entity::Event),
        }
    }

    /// The body of an import.
    pub(super) fn body(&self, entity: Entity, records: Bytes) -> RequestBody {
        let head = match entity {
            Entity::Customer => &self.customers,
            Entity::Subscription => &self.subscriptions,
            Entity::Usage => &self.usage,
            Entity::Event => &self.events,
        };
        import(head.clone(), records)
    }
}
