//! Tests of what the files of this module do together.

mod captured;
mod hostile;
mod network;
mod responding;
