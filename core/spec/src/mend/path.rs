//! The way from the root of a tree to one of its nodes.

use crate::misfit::NodeId;
use crate::tree::{Node, Value};

/// From the root to a node: the number of the entry of a map (and whether it is its key) or of the item of a list.
pub(super) type Path = Vec<Step>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Key(usize),
    Value(usize),
    Item(usize),
}

pub(super) fn path_to(node: &Node, wanted: NodeId) -> Option<Path> {
    fn search(node: &Node, wanted: NodeId, path: &mut Path) -> bool {
        if NodeId::of(node) == wanted {
            return true;
        }
        let mut enter = |node: &Node, step: Step| {
            path.push(step);
            let found = search(node, wanted, path);
            if !found {
                path.pop();
            }
            found
        };
        match &node.value {
            Value::List(items) => {
                let mut numbered = items.iter().enumerate();
                numbered.any(|(number, item)| enter(item, Step::Item(number)))
            }
            Value::Map(entries) => entries.iter().enumerate().any(|(number, (key, value))| {
                enter(key, Step::Key(number)) || enter(value, Step::Value(number))
            }),
            _ => false,
        }
    }
    let mut path = Path::new();
    search(node, wanted, &mut path).then_some(path)
}

pub(super) fn follow<'a>(tree: &'a mut Node, path: &[Step]) -> Option<&'a mut Node> {
    let mut node = tree;
    for step in path {
        node = match (&mut node.value, step) {
            (Value::List(items), Step::Item(number)) => items.get_mut(*number)?,
            (Value::Map(entries), Step::Key(number)) => &mut entries.get_mut(*number)?.0,
            (Value::Map(entries), Step::Value(number)) => &mut entries.get_mut(*number)?.1,
            _ => return None,
        };
    }
    Some(node)
}
