//! Lengths of the prefixes of a full table, much as the Internet's routers have them.

/// Length of an IPv4 prefix, and its share of all, per cent.
pub const FULL_TABLE4: [(u8, u32); 8] = [
    (16, 1),
    (18, 2),
    (20, 6),
    (21, 7),
    (22, 13),
    (23, 11),
    (24, 58),
    (28, 2),
];

/// The same for IPv6.
pub const FULL_TABLE6: [(u8, u32); 9] = [
    (29, 3),
    (32, 14),
    (36, 3),
    (40, 8),
    (44, 12),
    (46, 4),
    (47, 2),
    (48, 51),
    (56, 3),
];
