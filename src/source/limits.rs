//! What a source takes at most, so that memory stays bounded whatever comes.

/// Limits on what is read. A row over one is rejected; a header over one is an error at open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of one field, decoded, without its quotes. Default 1 MiB.
    pub field_bytes_max: usize,
    /// Most bytes of one row with its quotes and delimiters, decoded to UTF-8. Default 4 MiB.
    ///
    /// Two buffers of this size are the most that a row costs; of a longer row only the head is
    /// looked at.
    pub row_bytes_max: usize,
    /// Most columns. Default 2,000.
    pub columns_max: usize,
    /// Most characters in a column's name. Default 1,024.
    pub name_chars_max: usize,
    /// Most bytes of cells, in all, that a rejected row keeps. Default 4 KiB.
    pub bad_row_bytes_max: usize,
    /// Most bytes that one compressed byte may become. Default 1,000.
    ///
    /// Deflate cannot pass 1,032; what passes 1,000 is made to fill a disk or a memory, or holds
    /// one row over and over.
    pub inflate_ratio_max: u64,
    /// Decompressed bytes before [`Self::inflate_ratio_max`] is looked at. Default 16 MiB.
    pub inflate_free_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            field_bytes_max: 1 << 20,
            row_bytes_max: 4 << 20,
            columns_max: 2_000,
            name_chars_max: 1_024,
            bad_row_bytes_max: 4 << 10,
            inflate_ratio_max: 1_000,
            inflate_free_bytes: 16 << 20,
        }
    }
}
