//! Which prompts are shown where there is no room for all: those that separate the models first, drawn from every kind of
//! difference in proportion, never the first ones of the alphabet.

use std::collections::{BTreeMap, HashMap};

use driftgauge_record::files::resolved::SampleMode;

use super::Key;

/// Bytes of a row and of a cell without texts, about.
pub(super) const ROW: usize = 60;
pub(super) const CELL: usize = 90;
/// Characters that each text of a row has room for, at least; fewer where texts are shorter.
const LEAST_TEXT: usize = 300;

/// A prompt and how the models differ on it.
pub(super) struct Prompt {
    pub(super) key: Key,
    /// 0 where they do not.
    pub(super) pattern: u64,
}

impl Prompt {
    pub(super) fn new(key: Key) -> Self {
        Self { key, pattern: 0 }
    }

    pub(super) fn differs(&self) -> bool {
        self.pattern != 0
    }
}

/// The prompts shown.
pub(super) struct Chosen {
    /// Row and whether the models differ on it.
    pub(super) places: HashMap<Key, (usize, bool)>,
    pub(super) differing_left_out: u64,
    pub(super) alike_left_out: u64,
}

pub(super) fn choose(
    prompts: &[Prompt],
    models: usize,
    room: usize,
    mode: SampleMode,
    seed: u64,
    mean_text: usize,
) -> Chosen {
    let texts = match mode {
        SampleMode::Hidden => 0,
        SampleMode::Redacted => models,
        SampleMode::Full => models + 1,
    };
    // Prompts are shown as well in `full`, and judges' words: their length is not known before.
    let mean_text = if mode == SampleMode::Full {
        LEAST_TEXT
    } else {
        mean_text
    };
    let row = ROW + models * CELL + texts * LEAST_TEXT.min(mean_text);
    let limit = room / row;
    let mut strata: BTreeMap<(&str, u64), Vec<usize>> = BTreeMap::new();
    let mut alike: Vec<usize> = Vec::new();
    for (place, prompt) in prompts.iter().enumerate() {
        if prompt.differs() {
            let stratum = (prompt.key.0.as_str(), prompt.pattern);
            strata.entry(stratum).or_default().push(place);
        } else {
            alike.push(place);
        }
    }
    let differing: usize = strata.values().map(Vec::len).sum();
    let mut shown: Vec<usize> = Vec::new();
    // The rarest first: what the rounding takes is of the most frequent.
    let mut strata: Vec<Vec<usize>> = strata.into_values().collect();
    strata.sort_by_key(Vec::len);
    for members in &mut strata {
        // In proportion, rounded up: a rare difference is seen as well.
        let share = if differing > limit {
            (members.len() * limit).div_ceil(differing)
        } else {
            members.len()
        };
        drawn(members, share, prompts, seed);
        shown.append(members);
    }
    shown.truncate(limit);
    let differing_shown = shown.len();
    let alike_all = alike.len();
    drawn(&mut alike, limit - differing_shown, prompts, seed);
    let alike_shown = alike.len();
    // In the order of the file, those that separate the models first.
    shown.sort_unstable();
    alike.sort_unstable();
    shown.append(&mut alike);
    let places = shown.into_iter().enumerate().map(|(row, place)| {
        let prompt = &prompts[place];
        (prompt.key.clone(), (row, prompt.differs()))
    });
    Chosen {
        places: places.collect(),
        differing_left_out: (differing - differing_shown) as u64,
        alike_left_out: (alike_all - alike_shown) as u64,
    }
}

/// Keeps `count` of the members, drawn by a digest of the seed and the prompt: the same ones whatever the order of the file.
fn drawn(members: &mut Vec<usize>, count: usize, prompts: &[Prompt], seed: u64) {
    if members.len() <= count {
        return;
    }
    members.sort_by_cached_key(|&place| {
        let (condition, id) = &prompts[place].key;
        let mut hasher = blake3::Hasher::new();
        hasher.update(&seed.to_le_bytes());
        hasher.update(&(condition.len() as u64).to_le_bytes());
        hasher.update(condition.as_bytes());
        hasher.update(id.as_bytes());
        *hasher.finalize().as_bytes()
    });
    members.truncate(count);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prompts(count: usize, pattern: impl Fn(usize) -> u64) -> Vec<Prompt> {
        let prompt = |place: usize| Prompt {
            key: ("c".to_owned(), format!("{place:05}")),
            pattern: pattern(place),
        };
        (0..count).map(prompt).collect()
    }

    #[test]
    fn every_prompt_is_shown_where_there_is_room() {
        let prompts = prompts(40, |place| u64::from(place % 4 == 3));
        let chosen = choose(&prompts, 2, 1_000_000, SampleMode::Hidden, 1, 0);
        assert_eq!(chosen.places.len(), 40);
        assert_eq!((chosen.differing_left_out, chosen.alike_left_out), (0, 0));
        // The ten that differ stand first, in the order of the file.
        assert_eq!(
            chosen.places[&("c".to_owned(), "00003".to_owned())],
            (0, true)
        );
        assert_eq!(
            chosen.places[&("c".to_owned(), "00000".to_owned())],
            (10, false)
        );
    }

    #[test]
    fn a_draw_keeps_every_kind_of_difference_and_no_alphabet() {
        // 9,000 differ one way, 90 another, the rest not at all.
        let pattern = |place: usize| match place {
            0..9_000 => 1,
            9_000..9_090 => 2,
            _ => 0,
        };
        let all = prompts(10_000, pattern);
        let room = 300 * (ROW + 2 * CELL);
        let chosen = choose(&all, 2, room, SampleMode::Hidden, 1, 0);
        assert_eq!(chosen.places.len(), 300);
        assert_eq!(chosen.differing_left_out, 9_090 - 300);
        assert_eq!(chosen.alike_left_out, 910);
        let rare = (9_000..9_090).filter(|place| {
            let key = ("c".to_owned(), format!("{place:05}"));
            chosen.places.contains_key(&key)
        });
        assert_eq!(rare.count(), 3);
        let last = chosen.places.keys().map(|key| &key.1).max().unwrap();
        assert!(last.as_str() > "08000", "{last}");
        let other = choose(&all, 2, room, SampleMode::Hidden, 2, 0);
        assert_ne!(
            chosen
                .places
                .keys()
                .collect::<std::collections::HashSet<_>>(),
            other.places.keys().collect()
        );
    }
}
