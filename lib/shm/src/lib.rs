//! What processes share: table layout, publication, readers
