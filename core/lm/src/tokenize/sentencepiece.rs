//! SentencePiece's BPE by scores, as llama.cpp does it: the two neighbours that make the piece with the greatest score are joined
//! first, the leftmost of equals, and what is no piece at the end is written in bytes.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};

/// Stands for a space inside pieces.
const SPACE: &str = "\u{2581}";

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piece {
    /// A part of texts.
    Normal,
    /// One byte.
    Byte(u8),
    /// Found in a text as it stands, and part of it.
    UserDefined,
    /// Found in a text as it stands, and no part of it.
    Special,
}

/// A vocabulary of pieces with scores.
#[derive(Debug, Clone)]
pub(crate) struct SentencePiece {
    tokens: Vec<String>,
    kinds: Vec<Piece>,
    scores: Vec<f64>,
    ids: HashMap<String, u32>,
    bytes: [u32; 256],
    /// Tokens that are found as they stand, the longest first, and whether white space after one belongs to it.
    whole: Vec<(u32, bool)>,
    bos: Option<u32>,
    eos: Option<u32>,
    /// Whether a text begins with a space.
    space: bool,
}

impl SentencePiece {
    /// From tokens with their scores, kinds and whether they take the white space after them.
    pub(crate) fn new(
        pieces: Vec<(String, f64, Piece, bool)>,
        bos: Option<u32>,
        eos: Option<u32>,
        space: bool,
    ) -> Result<Self, String> {
        let mut made = Self {
            tokens: Vec::with_capacity(pieces.len()),
            kinds: Vec::with_capacity(pieces.len()),
            scores: Vec::with_capacity(pieces.len()),
            ids: HashMap::with_capacity(pieces.len()),
            bytes: [u32::MAX; 256],
            whole: Vec::new(),
            bos,
            eos,
            space,
        };
        for (id, (token, score, kind, takes_space)) in (0_u32..).zip(pieces) {
            match kind {
                Piece::Byte(byte) => made.bytes[usize::from(byte)] = id,
                Piece::Special | Piece::UserDefined => made.whole.push((id, takes_space)),
                Piece::Normal => {}
            }
            made.ids.insert(token.clone(), id);
            made.tokens.push(token);
            made.kinds.push(kind);
            made.scores.push(score);
        }
        if let Some(byte) = made.bytes.iter().position(|&id| id == u32::MAX) {
            return Err(format!(
                "the file's tokenizer has no token for the byte {byte}"
            ));
        }
        let tokens = &made.tokens;
        made.whole
            .sort_by_key(|(id, _)| std::cmp::Reverse(tokens[*id as usize].len()));
        Ok(made)
    }

    pub(crate) fn encode(&self, text: &str, add_special: bool) -> Vec<u32> {
        let mut out = Vec::new();
        out.extend(self.bos.filter(|_| add_special));
        let mut begins = true;
        for part in self.parts(text) {
            match part {
                Part::Token(id) => {
                    out.push(id);
                    begins = true;
                }
                Part::Text(text) => {
                    let space = if self.space && begins { SPACE } else { "" };
                    self.pieces(&format!("{space}{}", text.replace(' ', SPACE)), &mut out);
                    begins = false;
                }
            }
        }
        out.extend(self.eos.filter(|_| add_special));
        out
    }

    /// The text between tokens that are found as they stand, the longest of which are looked for first.
    fn parts<'a>(&self, text: &'a str) -> Vec<Part<'a>> {
        let mut parts = vec![Part::Text(text)];
        for &(id, takes_space) in &self.whole {
            let token = self.tokens[id as usize].as_str();
            if !text.contains(token) {
                continue;
            }
            let mut next = Vec::with_capacity(parts.len() + 2);
            for part in parts {
                let Part::Text(mut rest) = part else {
                    next.push(part);
                    continue;
                };
                while let Some(at) = rest.find(token) {
                    next.push(Part::Text(&rest[..at]));
                    next.push(Part::Token(id));
                    rest = &rest[at + token.len()..];
                    if takes_space {
                        rest = rest.trim_start();
                    }
                }
                next.push(Part::Text(rest));
            }
            next.retain(|part| !matches!(part, Part::Text("")));
            parts = next;
        }
        parts.retain(|part| !matches!(part, Part::Text("")));
        parts
    }

    fn pieces(&self, text: &str, out: &mut Vec<u32>) {
        let mut symbols: Vec<Symbol> = Vec::new();
        for (start, c) in text.char_indices() {
            let index = symbols.len();
            symbols.push(Symbol {
                start,
                length: c.len_utf8(),
                before: index.checked_sub(1),
                after: Some(index + 1),
            });
        }
        if let Some(last) = symbols.last_mut() {
            last.after = None;
        }
        let mut queue = BinaryHeap::new();
        for right in 1..symbols.len() {
            self.consider(text, &symbols, Some(right - 1), Some(right), &mut queue);
        }
        while let Some(join) = queue.pop() {
            let (left, right) = (symbols[join.left], symbols[join.right]);
            // One of both was joined with another since.
            if left.length == 0 || right.length == 0 || left.length + right.length != join.length {
                continue;
            }
            symbols[join.left].length = join.length;
            symbols[join.right].length = 0;
            symbols[join.left].after = right.after;
            if let Some(after) = right.after {
                symbols[after].before = Some(join.left);
            }
            self.consider(text, &symbols, left.before, Some(join.left), &mut queue);
            self.consider(text, &symbols, Some(join.left), right.after, &mut queue);
        }
        for symbol in symbols.iter().filter(|symbol| symbol.length > 0) {
            let piece = &text[symbol.start..symbol.start + symbol.length];
            match self.ids.get(piece) {
                Some(&id) => out.push(id),
                None => out.extend(piece.bytes().map(|byte| self.bytes[usize::from(byte)])),
            }
        }
    }

    /// Puts the joining of two neighbours on the queue where it makes a piece.
    fn consider(
        &self,
        text: &str,
        symbols: &[Symbol],
        left: Option<usize>,
        right: Option<usize>,
        queue: &mut BinaryHeap<Join>,
    ) {
        let (Some(left), Some(right)) = (left, right) else {
            return;
        };
        let (start, length) = (
            symbols[left].start,
            symbols[left].length + symbols[right].length,
        );
        if let Some(&id) = self.ids.get(&text[start..start + length]) {
            queue.push(Join {
                left,
                right,
                length,
                score: self.scores[id as usize],
            });
        }
    }

    pub(crate) fn decode(&self, ids: &[u32], skip_special: bool) -> String {
        let mut bytes = Vec::new();
        for &id in ids {
            let Some(token) = self.tokens.get(id as usize) else {
                continue;
            };
            match self.kinds[id as usize] {
                Piece::Byte(byte) => bytes.push(byte),
                Piece::Special if skip_special => {}
                Piece::Special | Piece::UserDefined => bytes.extend(token.as_bytes()),
                Piece::Normal => bytes.extend(token.replace(SPACE, " ").as_bytes()),
            }
        }
        let text = String::from_utf8_lossy(&bytes);
        // The space that was put before the text.
        match text.strip_prefix(' ').filter(|_| self.space) {
            Some(rest) => rest.to_owned(),
            None => text.into_owned(),
        }
    }

    pub(crate) fn id(&self, token: &str) -> Option<u32> {
        self.ids.get(token).copied()
    }

    pub(crate) fn tokens(&self) -> &[String] {
        &self.tokens
    }

    pub(crate) fn is_special(&self, id: u32) -> bool {
        self.kinds.get(id as usize) == Some(&Piece::Special)
    }
}

enum Part<'a> {
    Text(&'a str),
    Token(u32),
}

#[derive(Clone, Copy)]
struct Symbol {
    start: usize,
    length: usize,
    before: Option<usize>,
    after: Option<usize>,
}

/// Two neighbours that make a piece.
struct Join {
    left: usize,
    right: usize,
    length: usize,
    score: f64,
}

impl Ord for Join {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score
            .total_cmp(&other.score)
            .then(other.left.cmp(&self.left))
    }
}

impl PartialOrd for Join {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Join {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Join {}
