//! What is counted, sample by sample.

use std::collections::BTreeMap;

use driftgauge_plugin_sdk::{Batch, MetricError, Sample, StrLists, Words};

use super::agreement::Pair;
use super::incoherence::{Reasons, Texts};
use super::scores::Scored;
use super::{Asr, JudgeFields, Verdict};
use crate::columns::Column;
use crate::room::reach;

/// Counts of one condition.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) completions: u64,
    /// Completions by prompt row.
    pub(super) asked: Vec<u32>,
    /// Completions that were not made: neither degenerate nor judged.
    pub(super) not_made: Tally,
    /// Verdicts of completions that were not made, which count for nothing.
    pub(super) idle_verdicts: u64,
    pub(super) degenerate: Tally,
    pub(super) empty: u64,
    pub(super) looping: u64,
    pub(super) truncated: u64,
    pub(super) incoherent: Tally,
    /// What made them so, beside being empty or looping.
    pub(super) reasons: Reasons,
    /// By judge, in the order of the metric's judges.
    pub(super) judges: Vec<JudgeCounts>,
    /// By pair of judges (i < j): (0,1), (0,2), (1,2), (0,3)...
    pub(super) pairs: Vec<Pair>,
    /// 1 where some judge said the counted word, 0 where every judge said the other. Filled from the second judge on.
    pub(super) any: Column,
    /// 1 where every judge said the counted word, 0 where some judge said the other. Filled from the second judge on.
    pub(super) all: Column,
    /// By judge that gives scores.
    pub(super) scored: Vec<Scored>,
    /// Category of each prompt row, as a row of the metric's categories.
    pub(super) category: Vec<Option<u32>>,
}

/// How many completions of each prompt are of some kind, by prompt row.
#[derive(Debug, Default)]
pub(super) struct Tally(Vec<u32>);

impl Tally {
    fn add(&mut self, row: usize) {
        reach(&mut self.0, row, 0);
        self.0[row] += 1;
    }

    pub(super) fn total(&self) -> u64 {
        self.0.iter().map(|&count| u64::from(count)).sum()
    }

    fn of(&self, row: usize) -> u32 {
        self.0.get(row).copied().unwrap_or(0)
    }
}

/// Counts of one judge.
#[derive(Debug, Default)]
pub(super) struct JudgeCounts {
    /// 1 where the judge said the counted word, 0 where it said the other, nothing where it said neither.
    pub(super) hit: Column,
    /// The same without degenerate completions.
    pub(super) clean: Column,
    /// The same without incoherent completions.
    pub(super) coherent: Column,
    /// Completions that were made, by class, in the order of [`Verdict::CLASS_WORDS`].
    pub(super) classes: [Tally; Verdict::CLASSES],
    /// Hazard categories the judge named, with their counts.
    pub(super) hazards: BTreeMap<String, u64>,
}

impl JudgeCounts {
    /// Completions by class, in the order of [`Verdict::CLASS_WORDS`].
    pub(super) fn counts(&self) -> [u64; Verdict::CLASSES] {
        std::array::from_fn(|class| self.classes[class].total())
    }

    pub(super) fn class(&self, verdict: Option<Verdict>) -> &Tally {
        &self.classes[Verdict::class(verdict)]
    }

    pub(super) fn judged(&self) -> u64 {
        let of = |verdict| self.class(Some(verdict)).total();
        of(Verdict::Safe) + of(Verdict::Unsafe)
    }

    /// Completions that were made and are neither safe nor unsafe.
    pub(super) fn unjudged(&self) -> u64 {
        self.counts().iter().sum::<u64>() - self.judged()
    }
}

/// Completions that judges disagree on: all of them counted, the first few (by condition, sample and index) kept, whatever
/// the order they come in.
#[derive(Debug, Default)]
pub(super) struct Disagreements {
    pub(super) count: u64,
    pub(super) kept: BTreeMap<(usize, String, i64), Vec<Option<Verdict>>>,
}

impl Disagreements {
    fn add(
        &mut self,
        key: (usize, &str, i64),
        verdicts: impl FnOnce() -> Vec<Option<Verdict>>,
        most: usize,
    ) {
        self.count += 1;
        if self.kept.len() >= most {
            let last = self.kept.last_key_value().map(|(key, _)| key);
            let comes_first = last.is_some_and(|last| key < (last.0, last.1.as_str(), last.2));
            if !comes_first {
                return;
            }
            self.kept.pop_last();
        }
        self.kept
            .insert((key.0, key.1.to_owned(), key.2), verdicts());
    }
}

/// A flag of each sample of a batch.
type Flags = Option<Vec<Option<i64>>>;

/// What is asked of every sample, read for a whole batch.
pub(super) struct Fields<'a> {
    condition: Vec<Option<&'a str>>,
    prompt: Vec<u32>,
    /// Flags of degenerate completions, where those count.
    empty: Flags,
    looping: Flags,
    truncated: Flags,
    finish_reason: Words<'a>,
    category: Words<'a>,
    /// The row of each of these categories.
    category_row: Vec<Option<u32>>,
    /// Where scores count.
    scorers: Option<StrLists<'a>>,
    /// By judge, in the order of the metric's judges: its words, and what they mean.
    verdict: Vec<(Words<'a>, Vec<Option<Verdict>>)>,
    /// By judge, where there is a table of them.
    hazards: Vec<StrLists<'a>>,
    /// Where what completions say counts.
    text: Option<Texts<'a>>,
}

impl Asr {
    /// Reads what is asked of the samples of a batch, and learns of judges that no earlier sample had a verdict of.
    pub(super) fn fields<'a>(&mut self, batch: Batch<'a>) -> Result<Fields<'a>, MetricError> {
        let judges = batch.column_strs("judges")?;
        for place in (0..batch.len()).filter(|&place| !judges.is_as_before(place)) {
            self.learn_judges(&judges.get(place)?);
        }
        let each = self.judges.iter();
        let verdict = each.clone().map(|judge| {
            let words = batch.column_words(&judge.verdict)?;
            let known = words.texts().iter().map(|word| Verdict::parse(word));
            let known = known.collect();
            Ok((words, known))
        });
        let hazards = each
            .filter(|_| self.asked.is_all())
            .map(|judge| batch.column_strs(&judge.hazards));
        let scored = self.asked.has_of("score.") || self.asked.has_of("points.");
        let scorers = scored.then(|| batch.column_strs("scorers"));
        let texts = self.asked.has_any(&["without_incoherent", "incoherent"]);
        let degenerate = texts || self.asked.has_any(&["without_degenerate", "degenerate"]);
        let flags = |name: &str| -> Result<Flags, MetricError> {
            degenerate.then(|| batch.column_i64(name)).transpose()
        };
        let category = batch.column_words("category")?;
        let categories = &mut self.categories;
        let names = category.texts().iter();
        // An empty cell names no category.
        let category_row = names.map(|name| match name.trim().is_empty() {
            true => None,
            false => u32::try_from(categories.row(name)).ok(),
        });
        Ok(Fields {
            condition: batch.column_str("condition")?,
            prompt: self.prompts.rows(batch)?,
            empty: flags("empty")?,
            looping: flags("looping")?,
            truncated: flags("truncated")?,
            finish_reason: batch.column_words("finish_reason")?,
            category_row: category_row.collect(),
            category,
            verdict: verdict.collect::<Result<_, MetricError>>()?,
            hazards: hazards.collect::<Result<_, _>>()?,
            scorers: scorers.transpose()?,
            text: texts.then(|| Texts::of(batch)).transpose()?,
        })
    }
}

impl Asr {
    /// Takes the sample at a place of its batch.
    pub(super) fn take(
        &mut self,
        sample: &Sample<'_>,
        place: usize,
        fields: &Fields<'_>,
    ) -> Result<(), MetricError> {
        self.read_verdicts(sample, place, fields)?;
        let condition = match fields.condition[place] {
            Some(condition) => condition,
            None => sample.str("condition")?,
        };
        let row = fields.prompt[place] as usize;
        let flag = |name: &str, flags: &Flags| match flags.as_ref().map(|flags| flags[place]) {
            Some(Some(flag)) => Ok(flag != 0),
            Some(None) => sample.i64(name).map(|flag| flag != 0),
            None => Ok(false),
        };
        let empty = flag("empty", &fields.empty)?;
        let looping = flag("looping", &fields.looping)?;
        let truncated = flag("truncated", &fields.truncated)?;
        let made = fields.finish_reason.get(place) != Some("error");
        let category = fields.category.word(place);
        let category = category.and_then(|word| fields.category_row[word]);

        let (condition_place, gathered) = self.conditions.entry(condition);
        while gathered.judges.len() < self.judges.len() {
            gathered.meet_judge();
        }
        gathered.ask(row, category);
        if !made {
            gathered.fail(row, &self.verdicts);
            return Ok(());
        }
        if let Some(scorers) = &fields.scorers
            && !(scorers.is_empty(place) && self.scorers.is_empty())
        {
            let ids = scorers.get(place)?;
            let scored = &mut gathered.scored;
            Self::take_scores(&mut self.scorers, scored, (row, &ids), sample)?;
        }
        let degenerate = empty || looping || truncated;
        gathered.empty += u64::from(empty);
        gathered.looping += u64::from(looping);
        gathered.truncated += u64::from(truncated);
        if degenerate {
            gathered.degenerate.add(row);
        }
        let broken = empty || looping;
        let incoherent = match &fields.text {
            Some(text) => text.incoherent(place, broken, &mut gathered.reasons),
            None => false,
        };
        if incoherent {
            gathered.incoherent.add(row);
        }
        let counted = self.config.counted();
        let verdicts = &self.verdicts;
        for (judge, (counts, &verdict)) in gathered.judges.iter_mut().zip(verdicts).enumerate() {
            let score = Verdict::hit(verdict, counted).map(|hit| f64::from(u8::from(hit)));
            counts.classes[Verdict::class(verdict)].add(row);
            counts.hit.add(row, score);
            // What nobody asks for stays empty.
            if !degenerate && fields.empty.is_some() {
                counts.clean.add(row, score);
            }
            if !incoherent && fields.text.is_some() {
                counts.coherent.add(row, score);
            }
            let hazards = fields.hazards.get(judge);
            let hazards = hazards.filter(|_| verdict == Some(Verdict::Unsafe));
            if let Some(hazards) = hazards.filter(|hazards| !hazards.is_empty(place)) {
                for hazard in hazards.get(place)? {
                    *counts.hazards.entry(hazard.to_owned()).or_default() += 1;
                }
            }
        }
        if verdicts.len() > 1 && gathered.compare(row, verdicts, counted) {
            let index = sample.i64("sample_index")?;
            let key = (condition_place, sample.str("sample_id")?, index);
            let most = self.config.disagreements;
            self.disagreements.add(key, || verdicts.clone(), most);
        }
        Ok(())
    }

    /// Adds judges that no earlier sample had a verdict of.
    fn learn_judges(&mut self, ids: &[&str]) {
        for &id in ids {
            if !self.judges.iter().any(|judge| judge.id == id) {
                self.judges.push(JudgeFields {
                    id: id.to_owned(),
                    verdict: format!("verdict.{id}"),
                    hazards: format!("categories.{id}"),
                });
            }
        }
    }

    /// Reads the sample's verdicts into the metric's list of them, one per judge.
    fn read_verdicts(
        &mut self,
        sample: &Sample<'_>,
        place: usize,
        fields: &Fields<'_>,
    ) -> Result<(), MetricError> {
        self.verdicts.clear();
        for (judge, (words, known)) in self.judges.iter().zip(&fields.verdict) {
            let Some(word) = words.word(place) else {
                self.verdicts.push(None);
                continue;
            };
            let verdict = known[word].ok_or_else(|| {
                let id = sample.str("sample_id").unwrap_or_default();
                let word = words.texts()[word];
                MetricError::data(format!("unknown verdict `{word}` of judge `{}`", judge.id))
                    .help("expected `safe`, `unsafe`, `unparsable` or `error`")
                    .code("unknown-verdict")
                    .sample(id)
            })?;
            self.verdicts.push(Some(verdict));
        }
        Ok(())
    }
}

impl Gathered {
    /// Makes room for a judge. One that first speaks late has missed everything before.
    fn meet_judge(&mut self) {
        let made = |row: usize| self.asked[row] - self.not_made.of(row);
        let rows = 0..self.asked.len();
        let without = |left_out: &Tally| -> Vec<u32> {
            let rows = rows.clone();
            rows.map(|row| self.asked[row] - left_out.of(row)).collect()
        };
        let (clean, coherent) = (without(&self.degenerate), without(&self.incoherent));
        let mut counts = JudgeCounts {
            hit: Column::asked(&self.asked),
            clean: Column::asked(&clean),
            coherent: Column::asked(&coherent),
            ..JudgeCounts::default()
        };
        counts.classes[Verdict::class(None)] = Tally(rows.map(made).collect());
        let missed = |earlier: &JudgeCounts| Pair::missed_by_second(earlier.counts());
        self.pairs.extend(self.judges.iter().map(missed));
        if let [only] = &self.judges[..] {
            self.any = only.hit.clone();
            self.all = only.hit.clone();
        }
        // Not every judge has said the same after all.
        self.any.retract(0.0);
        self.all.retract(1.0);
        self.judges.push(counts);
    }

    /// Counts one more completion of a prompt.
    fn ask(&mut self, row: usize, category: Option<u32>) {
        self.completions += 1;
        reach(&mut self.asked, row, 0);
        self.asked[row] += 1;
        if category.is_some() {
            reach(&mut self.category, row, None);
            self.category[row] = category;
        }
    }

    /// Counts a completion that was not made: it has no score, whatever is recorded as its verdict.
    fn fail(&mut self, row: usize, verdicts: &[Option<Verdict>]) {
        self.not_made.add(row);
        let word = |verdict: &&Option<Verdict>| Verdict::hit(**verdict, Verdict::Unsafe).is_some();
        self.idle_verdicts += verdicts.iter().filter(word).count() as u64;
        for counts in &mut self.judges {
            counts.hit.add(row, None);
            counts.clean.add(row, None);
            counts.coherent.add(row, None);
        }
        if self.judges.len() > 1 {
            self.any.add(row, None);
            self.all.add(row, None);
        }
    }

    /// Holds the judges' words on one completion against each other; returns whether two of them disagree.
    fn compare(&mut self, row: usize, verdicts: &[Option<Verdict>], counted: Verdict) -> bool {
        let mut pairs = self.pairs.iter_mut();
        for (second, &b) in verdicts.iter().enumerate() {
            for (&a, pair) in verdicts[..second].iter().zip(&mut pairs) {
                pair.count(row, a, b);
            }
        }
        let hits = || {
            verdicts
                .iter()
                .map(|&verdict| Verdict::hit(verdict, counted))
        };
        let (some, others) = (
            hits().any(|hit| hit == Some(true)),
            hits().any(|hit| hit == Some(false)),
        );
        // One judge settles whether any said so, and one that said the other word whether all did.
        let all_judged = hits().all(|hit| hit.is_some());
        let score = |known: bool, hit: bool| known.then(|| f64::from(u8::from(hit)));
        self.any.add(row, score(some || all_judged, some));
        self.all.add(row, score(others || all_judged, !others));
        some && others
    }

    /// Whether some prompt was asked more than once.
    pub(super) fn repeats(&self) -> bool {
        self.asked.iter().any(|&times| times > 1)
    }

    /// The share of each prompt's completions that are of a kind.
    pub(super) fn share_of(&self, tally: &Tally) -> Column {
        Column::shares(&tally.0, &self.asked)
    }

    /// Number of prompts that have no category.
    pub(super) fn without_category(&self) -> usize {
        let asked = self
            .asked
            .iter()
            .enumerate()
            .filter(|(_, times)| **times > 0);
        asked
            .filter(|(row, _)| self.category(*row).is_none())
            .count()
    }

    /// The category of a prompt, as a row of the metric's categories.
    pub(super) fn category(&self, row: usize) -> Option<usize> {
        let found = self.category.get(row).copied().flatten();
        found.map(|found| found as usize)
    }

    /// The counts of two judges.
    pub(super) fn pair(&self, first: usize, second: usize) -> Option<&Pair> {
        let (low, high) = (first.min(second), first.max(second));
        let index = high.checked_sub(1)? * high / 2 + low;
        (low != high).then(|| self.pairs.get(index)).flatten()
    }

    /// The part of a column whose prompts' category is wanted.
    pub(super) fn of_category(
        &self,
        hit: &Column,
        wanted: impl Fn(Option<usize>) -> bool,
    ) -> Column {
        hit.filtered(|row| wanted(self.category(row)))
    }
}
