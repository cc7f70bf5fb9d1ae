//! The IPv6 FIB.

mod churn;
mod concurrent;
mod differential;
mod limits;
mod reference;
