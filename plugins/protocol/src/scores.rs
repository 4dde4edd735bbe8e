//! Per-sample scores, and which samples they are of.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::texts::TextList;
use crate::values::ScoreValues;

/// Per-sample scores behind a scalar, so that the harness can pair models sample by sample.
///
/// In JSON, `places` says which of the `sample_ids` these are (all of them where it is left out), so that a part of the samples
/// does not name them again. Both are left out where they are those of the scores before; `sample_ids` alone, where only the
/// list is.
#[derive(Debug, Clone, PartialEq, JsonSchema)]
pub struct Scores {
    /// Id of the scalar that these scores average to.
    pub id: String,
    /// Condition.
    pub condition: String,
    /// `binary` scores are 0 or 1; `real` ones any finite number.
    pub kind: ScoreKind,
    /// Sample ids. The same prompt sampled several times appears once, with its mean.
    #[schemars(with = "Option<Vec<String>>")]
    pub sample_ids: SampleIds,
    /// One score per id; null where the sample has none.
    #[schemars(with = "Vec<Option<f64>>")]
    pub values: ScoreValues,
}

/// What kind of number a score is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ScoreKind {
    /// 0 or 1.
    Binary,
    /// Any finite number.
    Real,
}

/// Ids of samples, in order: a list that several scores may share, or some of its places.
#[derive(Debug, Clone)]
pub struct SampleIds {
    /// Left out where the harness alone has it.
    list: Arc<TextList>,
    /// How many ids are in the list.
    listed: usize,
    /// All of them where there are none.
    places: Option<Arc<[u32]>>,
    /// Whether the list is that of all prompts that were shown, each once, in the order of their numbers.
    of_prompts: bool,
}

impl SampleIds {
    /// Those at some places of this one's list; all of it where that is what the places are.
    ///
    /// # Errors
    /// When the list has no such place.
    pub fn at(&self, places: Vec<u32>) -> Result<Self, String> {
        let n = self.listed;
        if let Some(beyond) = places.iter().find(|&&place| place as usize >= n) {
            return Err(format!("place {beyond} in a list of {n} sample ids"));
        }
        let all = places.len() == n && places.iter().zip(0..).all(|(&place, row)| place == row);
        Ok(Self {
            list: Arc::clone(&self.list),
            listed: n,
            places: (!all).then(|| places.into()),
            of_prompts: self.of_prompts,
        })
    }

    /// All prompts that were shown, each once, in the order of their numbers: places are then what the field `prompt` says.
    #[must_use]
    pub fn of_prompts(list: Arc<TextList>) -> Self {
        Self {
            listed: list.len(),
            list,
            places: None,
            of_prompts: true,
        }
    }

    /// As [`Self::of_prompts`], without the ids: so many prompts were shown, and the harness knows which. Scores of such are given as
    /// arrays, to a harness that takes these.
    #[must_use]
    pub fn numbered(prompts: usize) -> Self {
        Self {
            list: Arc::default(),
            listed: prompts,
            places: None,
            of_prompts: true,
        }
    }

    /// Whether the ids themselves are here.
    fn are_named(&self) -> bool {
        self.list.len() == self.listed
    }

    /// Whether places are numbers of prompts.
    #[must_use]
    pub fn are_of_prompts(&self) -> bool {
        self.of_prompts
    }

    /// The place of each in the list; all where there are none.
    #[must_use]
    pub fn places(&self) -> Option<&[u32]> {
        self.places.as_deref()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        let places = self.places.as_ref();
        places.map_or(self.listed, |places| places.len())
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The ids; no text for each where only the harness has them.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|row| self.id(row))
    }

    /// The id of a row; no text beyond the last one.
    fn id(&self, row: usize) -> &str {
        let place = match self.places() {
            None => Some(row),
            Some(places) => places.get(row).map(|&place| place as usize),
        };
        let id = place.and_then(|place| self.list.get(place));
        id.unwrap_or_default()
    }

    /// How many ids are in the list that these are in.
    pub(crate) fn listed(&self) -> usize {
        self.listed
    }

    /// The list that these ids are in, and the places there when they are not all of it.
    pub(crate) fn parts(&self) -> (&TextList, Option<&[u32]>) {
        (&self.list, self.places.as_deref())
    }

    /// Where each of these ids is among others, which have each id once; `None` where it is not. Lists that are alike tell without a look
    /// at single ids.
    pub fn rows_in<'a>(&'a self, others: &'a Self) -> impl Iterator<Item = Option<u32>> + 'a {
        let same_list = self.share_a_list(others) || self.list == others.list;
        let same = same_list && self.places == others.places;
        let places = self.places();
        let places = places.filter(|_| same_list && others.places.is_none() && !same);
        let known: Option<HashMap<&str, u32, RandomState>> =
            (!same && places.is_none()).then(|| others.iter().zip(0..).collect());
        (0..self.len()).map(move |row| match (&known, places) {
            (Some(known), _) => known.get(self.id(row)).copied(),
            (None, Some(places)) => Some(places[row]),
            (None, None) => Some(row as u32),
        })
    }

    /// Whether both are places of one list, known without looking at the ids.
    #[must_use]
    pub fn share_a_list(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.list, &other.list)
    }

    /// Whether both are the same ids in the same order, known without looking at them.
    #[must_use]
    pub fn are_shared(&self, other: &Self) -> bool {
        self.share_a_list(other) && self.places == other.places
    }
}

impl PartialEq for SampleIds {
    fn eq(&self, other: &Self) -> bool {
        match (self.are_named(), other.are_named()) {
            (true, true) => self.are_shared(other) || self.iter().eq(other.iter()),
            (false, false) => self.listed == other.listed && self.places == other.places,
            _ => false,
        }
    }
}

impl From<TextList> for SampleIds {
    fn from(ids: TextList) -> Self {
        Arc::new(ids).into()
    }
}

impl From<Arc<TextList>> for SampleIds {
    fn from(list: Arc<TextList>) -> Self {
        Self {
            listed: list.len(),
            list,
            places: None,
            of_prompts: false,
        }
    }
}

impl<S: AsRef<str>> FromIterator<S> for SampleIds {
    fn from_iter<I: IntoIterator<Item = S>>(ids: I) -> Self {
        TextList::from_iter(ids).into()
    }
}

/// The JSON of scores, with what says which samples they are of only where it changes.
pub(crate) mod json {
    use serde::de::Error as _;
    use serde::ser::Error as _;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{SampleIds, ScoreKind, Scores, TextList};

    #[derive(Serialize)]
    struct Written<'a> {
        id: &'a str,
        condition: &'a str,
        kind: ScoreKind,
        #[serde(skip_serializing_if = "Option::is_none")]
        sample_ids: Option<&'a TextList>,
        #[serde(skip_serializing_if = "Option::is_none")]
        places: Option<Vec<u32>>,
        values: Values,
    }

    /// Zeros and ones are written as they are read: without decimals.
    #[derive(Serialize)]
    #[serde(untagged)]
    enum Values {
        Binary(Vec<Option<u8>>),
        Real(Vec<Option<f64>>),
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Read {
        id: String,
        condition: String,
        kind: ScoreKind,
        #[serde(default)]
        sample_ids: Option<TextList>,
        #[serde(default)]
        places: Option<Vec<u32>>,
        values: Vec<Option<f64>>,
    }

    pub(crate) fn serialize<S: Serializer>(
        scores: &[Scores],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let before = std::iter::once(None).chain(scores.iter().map(Some));
        let written: Result<Vec<_>, _> = scores
            .iter()
            .zip(before)
            .map(|(scores, before)| write(scores, before).map_err(S::Error::custom))
            .collect();
        written?.serialize(serializer)
    }

    fn write<'a>(scores: &'a Scores, before: Option<&Scores>) -> Result<Written<'a>, String> {
        if !scores.sample_ids.are_named() {
            return Err(format!(
                "the ids of the scores `{}` are not known here",
                scores.id
            ));
        }
        let (list, places) = scores.sample_ids.parts();
        let shares = |same: fn(&SampleIds, &SampleIds) -> bool| {
            before.is_some_and(|before| same(&scores.sample_ids, &before.sample_ids))
        };
        let listed = shares(SampleIds::share_a_list);
        let places = match places {
            _ if shares(SampleIds::are_shared) => None,
            None if listed => Some((0..list.len() as u32).collect()),
            places => places.map(<[u32]>::to_vec),
        };
        let bit = |value: Option<f64>| match value {
            None => Some(None),
            Some(0.0) => Some(Some(0)),
            Some(1.0) => Some(Some(1)),
            Some(_) => None,
        };
        let bits: Option<Vec<_>> = match scores.kind {
            ScoreKind::Binary => scores.values.iter().map(bit).collect(),
            ScoreKind::Real => None,
        };
        Ok(Written {
            id: &scores.id,
            condition: &scores.condition,
            kind: scores.kind,
            sample_ids: (!listed).then_some(list),
            places,
            values: match bits {
                Some(bits) => Values::Binary(bits),
                None => Values::Real(scores.values.iter().collect()),
            },
        })
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<Scores>, D::Error> {
        let read: Vec<Read> = Vec::deserialize(deserializer)?;
        let mut before: Option<SampleIds> = None;
        read.into_iter()
            .map(|read| {
                let listed = match (read.sample_ids, &before) {
                    (Some(ids), _) => ids.into(),
                    (None, Some(before)) => before.clone(),
                    (None, None) => {
                        return Err(D::Error::custom("the first scores have no `sample_ids`"));
                    }
                };
                let sample_ids = match read.places {
                    None => listed,
                    Some(places) => listed.at(places).map_err(D::Error::custom)?,
                };
                before = Some(sample_ids.clone());
                Ok(Scores {
                    id: read.id,
                    condition: read.condition,
                    kind: read.kind,
                    sample_ids,
                    values: read.values.into(),
                })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::MetricOutput;

    fn scores(id: &str, ids: &SampleIds) -> Scores {
        Scores {
            id: id.to_owned(),
            condition: "default".to_owned(),
            kind: ScoreKind::Binary,
            sample_ids: ids.clone(),
            values: vec![Some(1.0), None].into(),
        }
    }

    #[test]
    fn shared_sample_ids_are_written_once() {
        let ids = SampleIds::from_iter(["a", "b"]);
        let more = SampleIds::from_iter(["c", "d", "e"]);
        let part = more.at(vec![2, 0]).unwrap();
        let output = MetricOutput {
            scores: [&ids, &ids, &part, &part, &more, &ids]
                .into_iter()
                .map(|ids| scores("x", ids))
                .collect(),
            ..MetricOutput::new()
        };
        let text = serde_json::to_string(&output).unwrap();
        assert_eq!(text.matches("sample_ids").count(), 3, "{text}");
        assert_eq!(text.matches("places").count(), 2, "{text}");
        let back: MetricOutput = serde_json::from_str(&text).unwrap();
        assert_eq!(back, output);
        let ids = |place: usize| &back.scores[place].sample_ids;
        assert!(ids(0).are_shared(ids(1)) && ids(2).are_shared(ids(3)));
        assert!(ids(3).share_a_list(ids(4)) && !ids(3).are_shared(ids(4)));
        assert_eq!(ids(3).iter().collect::<Vec<_>>(), ["e", "c"]);
        assert!(!ids(4).share_a_list(ids(5)));
    }

    #[test]
    fn ids_are_found_among_others() {
        let ids = SampleIds::from_iter(["a", "b", "c"]);
        let alike = SampleIds::from_iter(["a", "b", "c"]);
        let part = ids.at(vec![2, 0]).unwrap();
        let other = SampleIds::from_iter(["b", "x", "a"]);
        for (these, others, expected) in [
            (&ids, &alike, &[Some(0), Some(1), Some(2)][..]),
            (&part, &ids, &[Some(2), Some(0)]),
            (&part, &alike, &[Some(2), Some(0)]),
            (&part, &part, &[Some(0), Some(1)]),
            (&ids, &part, &[Some(1), None, Some(0)]),
            (&other, &ids, &[Some(1), None, Some(0)]),
        ] {
            assert_eq!(these.rows_in(others).collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn prompts_that_only_the_harness_can_name() {
        let prompts = SampleIds::numbered(3);
        assert_eq!((prompts.len(), prompts.are_of_prompts()), (3, true));
        let part = prompts.at(vec![2, 0]).unwrap();
        assert_eq!((part.len(), part.places()), (2, Some(&[2, 0][..])));
        assert!(prompts.at(vec![3]).is_err());
        assert!(part != prompts && part == SampleIds::numbered(3).at(vec![2, 0]).unwrap());
        assert!(prompts != SampleIds::numbered(4) && prompts != SampleIds::from_iter(["", "", ""]));
        assert_eq!(SampleIds::numbered(0), SampleIds::from_iter([""; 0]));
        let output = MetricOutput {
            scores: vec![scores("x", &part)],
            ..MetricOutput::new()
        };
        let error = serde_json::to_string(&output).unwrap_err().to_string();
        assert!(error.contains("ids of the scores `x`"), "{error}");
    }

    #[test]
    fn ids_that_are_nowhere_are_refused() {
        let output = MetricOutput {
            scores: vec![scores("x", &SampleIds::from_iter(["a", "b"]))],
            ..MetricOutput::new()
        };
        let text = serde_json::to_string(&output).unwrap();
        let ids = "\"sample_ids\":[\"a\",\"b\"],";
        for (other, expected) in [
            ("", "first scores have no `sample_ids`"),
            (
                "\"sample_ids\":[\"a\"],\"places\":[1],",
                "place 1 in a list of 1 sample ids",
            ),
        ] {
            let error = serde_json::from_str::<MetricOutput>(&text.replacen(ids, other, 1));
            let error = error.unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
