//! What the project's tests share with its chores: how the contract's digests are computed.

pub mod wit;
