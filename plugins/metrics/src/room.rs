//! Lists that grow with the samples: seldom, and then by much.

/// How many times as long a list of prompts becomes where it grows: what is not filled takes no memory, and every growth is a copy.
const GROWTH: usize = 8;

/// Makes a list so long that it has a place.
pub(crate) fn reach<T: Clone>(list: &mut Vec<T>, place: usize, nothing: T) {
    if list.len() <= place {
        make_room(list, place + 1 - list.len());
        list.resize(place + 1, nothing);
    }
}

/// Makes room for some more items at the end of a list.
pub(crate) fn make_room<T>(list: &mut Vec<T>, more: usize) {
    if list.capacity() - list.len() < more {
        list.reserve(more.max(GROWTH * list.len()));
    }
}
