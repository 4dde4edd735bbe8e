//! Keys and values of what was read, in pages of [`WIDTH`] tokens that sequences with the same beginning share.
//!
//! A page belongs to the tokens in it and all before them, so that a prompt finds what another one with the same beginning has
//! left. Pages that nobody reads are kept until their memory is needed.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};

use crate::ops::kernels::{Line, WIDTH};

/// Sizes of what a token leaves.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) layers: usize,
    /// Key heads.
    pub(super) heads: usize,
    /// Width of a head.
    pub(super) width: usize,
}

impl Shape {
    /// Panels of the values of a head.
    pub(super) fn panels(self) -> usize {
        self.width.div_ceil(WIDTH)
    }

    /// Lines of one head in a page: keys as columns, then the values in panels.
    fn lines(self) -> usize {
        self.width + self.panels() * WIDTH
    }

    /// Bytes of a page.
    pub(super) fn page_bytes(self) -> usize {
        self.layers * self.heads * self.lines() * size_of::<Line>()
    }
}

/// What identifies the tokens of a page and all before them.
type Beginning = [u8; 32];

/// A page and who reads it.
#[derive(Debug)]
struct Page {
    lines: Vec<Line>,
    readers: usize,
    /// Whose beginning it is, where another prompt may find it.
    beginning: Option<Beginning>,
}

/// All pages.
#[derive(Debug)]
pub(super) struct Cache {
    shape: Shape,
    /// How many pages there may be.
    most: usize,
    pages: Vec<Page>,
    /// Pages of no use to anybody.
    free: Vec<usize>,
    /// Pages that nobody reads now, the longest unread first.
    idle: VecDeque<usize>,
    found: HashMap<Beginning, usize>,
    /// Pages that were promised to sequences and not taken yet.
    promised: usize,
}

/// The pages of one sequence.
#[derive(Debug, Default)]
pub(super) struct Pages {
    pub(super) ids: Vec<usize>,
    promised: usize,
    /// Beginning of the tokens in the pages that were shown to others.
    shown: usize,
    beginning: Beginning,
}

impl Pages {
    /// Tokens that fit into the pages so far: of a sequence that was opened just now, those that were found.
    pub(super) fn tokens(&self) -> usize {
        self.ids.len() * WIDTH
    }
}

impl Cache {
    pub(super) fn new(shape: Shape, bytes: usize) -> Self {
        Self {
            shape,
            most: (bytes / shape.page_bytes().max(1)).max(1),
            pages: Vec::new(),
            free: Vec::new(),
            idle: VecDeque::new(),
            found: HashMap::new(),
            promised: 0,
        }
    }

    pub(super) fn shape(&self) -> Shape {
        self.shape
    }

    /// Bytes of all pages so far.
    pub(super) fn bytes(&self) -> usize {
        self.pages.len() * self.shape.page_bytes()
    }

    /// Pages for a prompt with an answer of `all` tokens together, as many of them as possible found: the last token of the prompt
    /// is always to be read. `None` where there is no room now; `alone` says that no other sequence will make some.
    pub(super) fn open(&mut self, prompt: &[u32], all: usize, alone: bool) -> Option<Pages> {
        let mut pages = Pages::default();
        let mut found = Vec::new();
        let (chunks, _) = prompt[..prompt.len().saturating_sub(1)].as_chunks::<WIDTH>();
        for chunk in chunks {
            let beginning = after(&pages.beginning, chunk);
            let Some(&id) = self.found.get(&beginning) else {
                break;
            };
            found.push(id);
            pages.beginning = beginning;
        }
        let wanted = all.div_ceil(WIDTH) - found.len();
        let unread = found.iter().filter(|&&id| self.pages[id].readers == 0);
        let taken = self.pages.len() - self.free.len() - self.idle.len() + unread.count();
        if taken + self.promised + wanted > self.most && !alone {
            return None;
        }
        for &id in &found {
            if self.pages[id].readers == 0 {
                self.idle.retain(|&idle| idle != id);
            }
            self.pages[id].readers += 1;
        }
        self.promised += wanted;
        pages.promised = wanted;
        pages.shown = found.len();
        pages.ids = found;
        Some(pages)
    }

    /// Takes pages until there is room for `tokens`.
    pub(super) fn extend(&mut self, pages: &mut Pages, tokens: usize) {
        while pages.ids.len() * WIDTH < tokens {
            let id = self.fresh();
            self.pages[id].readers = 1;
            pages.ids.push(id);
            if pages.promised > 0 {
                pages.promised -= 1;
                self.promised -= 1;
            }
        }
    }

    /// Lets other prompts find the pages that the first `read` tokens of a prompt fill.
    pub(super) fn show(&mut self, pages: &mut Pages, prompt: &[u32], read: usize) {
        let (chunks, _) = prompt[..read.min(prompt.len())].as_chunks::<WIDTH>();
        for chunk in chunks.iter().skip(pages.shown) {
            pages.beginning = after(&pages.beginning, chunk);
            let id = pages.ids[pages.shown];
            pages.shown += 1;
            // Where two prompts with one beginning were read side by side, the first page stays.
            if let Entry::Vacant(place) = self.found.entry(pages.beginning) {
                place.insert(id);
                self.pages[id].beginning = Some(pages.beginning);
            }
        }
    }

    /// Gives back the pages of a sequence that has ended.
    pub(super) fn close(&mut self, pages: Pages) {
        self.promised -= pages.promised;
        for id in pages.ids {
            let page = &mut self.pages[id];
            page.readers -= 1;
            if page.readers > 0 {
                continue;
            }
            match page.beginning {
                Some(_) => self.idle.push_back(id),
                None => self.free.push(id),
            }
        }
    }

    fn fresh(&mut self) -> usize {
        if let Some(id) = self.free.pop() {
            // What was in it is multiplied by zero, which not every number takes.
            self.pages[id].lines.fill(Line::ZERO);
            return id;
        }
        if self.pages.len() >= self.most
            && let Some(id) = self.idle.pop_front()
        {
            let page = &mut self.pages[id];
            page.lines.fill(Line::ZERO);
            if let Some(beginning) = page.beginning.take() {
                self.found.remove(&beginning);
            }
            return id;
        }
        let lines = self.shape.page_bytes() / size_of::<Line>();
        self.pages.push(Page {
            lines: vec![Line::ZERO; lines],
            readers: 0,
            beginning: None,
        });
        self.pages.len() - 1
    }

    fn start(&self, layer: usize, head: usize) -> usize {
        (layer * self.shape.heads + head) * self.shape.lines()
    }

    /// Keeps the keys and values of a token: `[heads, width]` each.
    pub(super) fn write(
        &mut self,
        (pages, position): (&[usize], usize),
        layer: usize,
        keys: &[f32],
        values: &[f32],
    ) {
        let width = self.shape.width;
        let at = position % WIDTH;
        let heads = keys.chunks_exact(width).zip(values.chunks_exact(width));
        for (head, (keys, values)) in heads.enumerate() {
            let start = self.start(layer, head);
            let lines = &mut self.pages[pages[position / WIDTH]].lines[start..];
            let (columns, panels) = lines.split_at_mut(width);
            for (line, key) in columns.iter_mut().zip(keys) {
                line.0[at] = *key;
            }
            for (panel, values) in panels.chunks_exact_mut(WIDTH).zip(values.chunks(WIDTH)) {
                panel[at].0[..values.len()].copy_from_slice(values);
            }
        }
    }

    /// Keys of a head in a page as columns, and its values in panels.
    pub(super) fn head(&self, page: usize, layer: usize, head: usize) -> (&[Line], &[Line]) {
        let lines = &self.pages[page].lines[self.start(layer, head)..][..self.shape.lines()];
        lines.split_at(self.shape.width)
    }
}

fn after(beginning: &Beginning, tokens: &[u32; WIDTH]) -> Beginning {
    let mut hasher = blake3::Hasher::new_keyed(beginning);
    for token in tokens {
        hasher.update(&token.to_le_bytes());
    }
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape {
        layers: 1,
        heads: 1,
        width: 4,
    };

    fn cache(pages: usize) -> Cache {
        Cache::new(SHAPE, pages * SHAPE.page_bytes())
    }

    fn prompt(n: u32, last: u32) -> Vec<u32> {
        (0..n).chain([last]).collect()
    }

    /// Opens a sequence, reads its prompt and says how many tokens were found.
    fn read(cache: &mut Cache, prompt: &[u32]) -> (Pages, usize) {
        let mut pages = cache.open(prompt, prompt.len() + 8, false).unwrap();
        let found = pages.ids.len() * WIDTH;
        cache.extend(&mut pages, prompt.len());
        cache.show(&mut pages, prompt, prompt.len());
        (pages, found)
    }

    #[test]
    fn a_beginning_is_found_and_the_last_token_is_always_read() {
        let mut cache = cache(100);
        let (first, found) = read(&mut cache, &prompt(70, 900));
        assert_eq!(found, 0);
        let (second, found) = read(&mut cache, &prompt(70, 901));
        assert_eq!(found, 64);
        assert_eq!(first.ids[..2], second.ids[..2]);
        assert_ne!(first.ids[2], second.ids[2]);
        // All of its pages are there, but its last token would be read by nobody.
        assert_eq!(read(&mut cache, &prompt(63, 63)).1, 32);
        // The same tokens behind others are something else.
        let shifted: Vec<u32> = (500..532).chain(32..64).chain([1]).collect();
        assert_eq!(read(&mut cache, &shifted).1, 0);
    }

    #[test]
    fn what_nobody_reads_is_found_until_its_memory_is_needed() {
        let mut cache = cache(6);
        let (pages, _) = read(&mut cache, &prompt(64, 900));
        let other: Vec<u32> = (1000..1150).collect();
        assert!(cache.open(&other, 158, false).is_none());
        cache.close(pages);
        let (pages, found) = read(&mut cache, &prompt(64, 901));
        assert_eq!(found, 64);
        cache.close(pages);
        let (pages, _) = read(&mut cache, &other);
        assert_eq!(pages.ids.len(), 5);
        cache.close(pages);
        assert_eq!(cache.bytes(), 6 * SHAPE.page_bytes());
        let (_, found) = read(&mut cache, &prompt(64, 902));
        assert_eq!(found, 0, "the second of its pages is gone, or the first");
    }

    #[test]
    fn a_sequence_that_is_too_long_for_the_budget_goes_alone() {
        let mut cache = cache(1);
        assert!(cache.open(&prompt(64, 0), 100, false).is_none());
        assert!(cache.open(&prompt(64, 0), 100, true).is_some());
    }
}
