//! A look at a component without compiling it: the checks that every load begins with, for those who have no runtime.

use crate::load::{self, LoadError};
use crate::offer;
use crate::world::World;

/// What a component is and asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspected {
    /// The world that it fits.
    pub world: World,
    /// Names of its imports, in order. The host offers all of them; some need a grant.
    pub imports: Vec<String>,
}

/// Finds out which world a component of at most `limit` bytes fits, and whether the host offers what it imports.
///
/// # Errors
/// [`LoadError`], as [`Runtime::load`](crate::Runtime::load) would give it; what only compiling shows is not found.
pub fn inspect(bytes: &[u8], limit: usize) -> Result<Inspected, LoadError> {
    let surface = load::surface(bytes, limit)?;
    let world = World::detect(&surface.exports)?;
    offer::check(&surface.imports)?;
    Ok(Inspected { world, imports: surface.imports })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn component(fields: &str) -> Vec<u8> {
        wat::parse_str(format!("(component {fields})")).unwrap()
    }

    #[test]
    fn a_handler_is_known_with_its_imports() {
        let handler = r#"(import "wasi:cli/stdout@0.2.3" (instance)) (instance $i)
                         (export "hostel:handler/subscriber@0.1.0" (instance $i))"#;
        let inspected = inspect(&component(handler), 1000).unwrap();
        assert_eq!(inspected.world, World::Handler);
        assert_eq!(inspected.imports, ["wasi:cli/stdout@0.2.3"]);
    }

    #[test]
    fn what_a_load_refuses_is_refused() {
        assert!(matches!(inspect(b"(module)", 1000), Err(LoadError::NotWasm(_))));
        assert!(matches!(inspect(&component(""), 1000), Err(LoadError::NoWorld { .. })));
        let asks =
            r#"(import "a:b/c" (instance)) (instance $i) (export "hostel:handler/subscriber@0.1.0" (instance $i))"#;
        assert!(matches!(inspect(&component(asks), 1000), Err(LoadError::Imports(_))));
    }
}
