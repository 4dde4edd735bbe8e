//! Builders for the wire types, so that a metric reads as a list of what it reports.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::wire::{
    Axis, Direction, Interval, Manifest, MetricOutput, OUTPUT_SCHEMA, Point, Scalar, Series,
    Spread, TopLogprobs,
};

impl Manifest {
    /// A manifest with neither required fields nor a configuration schema (the SDK fills the latter in).
    #[must_use]
    pub fn new(id: &str, version: &str, title: &str) -> Self {
        Self {
            id: id.to_owned(),
            version: version.to_owned(),
            title: title.to_owned(),
            description: String::new(),
            required_fields: Vec::new(),
            judges: false,
            shows: Vec::new(),
            numbers: Vec::new(),
            main: None,
            chosen_by: None,
            top_logprobs: None,
            ranges: BTreeMap::new(),
            reads: BTreeMap::new(),
            drawn: Vec::new(),
            config_schema: Value::Null,
        }
    }

    /// One sentence: what the metric measures.
    #[must_use]
    pub fn describe(mut self, description: &str) -> Self {
        description.clone_into(&mut self.description);
        self
    }

    /// It returns a verdict on each sample.
    #[must_use]
    pub fn judges(mut self) -> Self {
        self.judges = true;
        self
    }

    /// Sample fields that the report shows beside each completion: see [`Manifest::shows`].
    #[must_use]
    pub fn shows<T: Into<String>>(mut self, fields: impl IntoIterator<Item = T>) -> Self {
        self.shows = fields.into_iter().map(Into::into).collect();
        self
    }

    /// Ids of the numbers it may return: see [`Manifest::numbers`].
    #[must_use]
    pub fn returns<T: Into<String>>(mut self, ids: impl IntoIterator<Item = T>) -> Self {
        self.numbers = ids.into_iter().map(Into::into).collect();
        self
    }

    /// The number that stands for the metric, where `range` tells several apart.
    #[must_use]
    pub fn stands_for(mut self, id: &str) -> Self {
        self.main = Some(id.to_owned());
        self
    }

    /// It returns the numbers alone that the configuration's `key` lists, where that is given: see [`Manifest::chosen_by`].
    #[must_use]
    pub fn chosen_by(mut self, key: &str) -> Self {
        self.chosen_by = Some(key.to_owned());
        self
    }

    /// It reads `token_top_logprobs`, of as many tokens as the configuration's `key` says, unless that is a number for which
    /// other fields suffice.
    #[must_use]
    pub fn reads_top_logprobs(mut self, key: &str, unless: Option<u64>) -> Self {
        self.top_logprobs = Some(TopLogprobs {
            key: key.to_owned(),
            unless,
        });
        self
    }

    /// The values of the number `id` (which may end in a `*`) lie between `low` and `high`.
    #[must_use]
    pub fn range(mut self, id: &str, low: f64, high: f64) -> Self {
        self.ranges.insert(id.to_owned(), [low, high]);
        self
    }

    /// The number `id` (which may end in a `*`) is absent where one of these fields is.
    #[must_use]
    pub fn reads(mut self, id: &str, fields: &[&str]) -> Self {
        let fields = fields.iter().map(|&field| field.to_owned()).collect();
        self.reads.insert(id.to_owned(), fields);
        self
    }

    /// The numbers that have no interval where the configuration's `resamples` is 0: see [`Manifest::drawn`].
    #[must_use]
    pub fn draws(mut self, ids: &[&str]) -> Self {
        self.drawn = ids.iter().map(|&id| id.to_owned()).collect();
        self
    }

    /// Fields the metric cannot work without.
    #[must_use]
    pub fn needs(mut self, fields: &[&str]) -> Self {
        self.required_fields = fields.iter().map(|&field| field.to_owned()).collect();
        self
    }
}

impl MetricOutput {
    /// An empty output of the current schema.
    #[must_use]
    pub fn new() -> Self {
        Self {
            schema: OUTPUT_SCHEMA,
            ..Self::default()
        }
    }
}

impl Scalar {
    /// An undefined number over no samples.
    #[must_use]
    pub fn new(id: &str, title: &str, condition: &str) -> Self {
        Self {
            id: id.to_owned(),
            title: title.to_owned(),
            condition: condition.to_owned(),
            value: None,
            n: 0,
            ci: None,
            intervals: Vec::new(),
            spread: None,
            direction: Direction::None,
            unit: String::new(),
            formula: String::new(),
            primary: false,
            selected: false,
        }
    }

    /// Sets the value (a number or an option of one) and the number of samples behind it.
    #[must_use]
    pub fn value(mut self, value: impl Into<Option<f64>>, n: u64) -> Self {
        self.value = value.into();
        self.n = n;
        self
    }

    /// Sets the interval.
    #[must_use]
    pub fn ci(mut self, ci: impl Into<Option<Interval>>) -> Self {
        self.ci = ci.into();
        self
    }

    /// Adds intervals of the same number that were made in other ways.
    #[must_use]
    pub fn intervals(mut self, intervals: impl IntoIterator<Item = Interval>) -> Self {
        self.intervals.extend(intervals);
        self
    }

    /// Says how the scores behind the number are spread.
    #[must_use]
    pub fn spread(mut self, spread: impl Into<Option<Spread>>) -> Self {
        self.spread = spread.into();
        self
    }

    /// Sets the unit, for example `ratio` or `nats`.
    #[must_use]
    pub fn unit(mut self, unit: &str) -> Self {
        unit.clone_into(&mut self.unit);
        self
    }

    /// Sets the formula.
    #[must_use]
    pub fn formula(mut self, formula: &str) -> Self {
        formula.clone_into(&mut self.formula);
        self
    }

    /// Lower values are better.
    #[must_use]
    pub fn lower_is_better(mut self) -> Self {
        self.direction = Direction::Lower;
        self
    }

    /// Higher values are better.
    #[must_use]
    pub fn higher_is_better(mut self) -> Self {
        self.direction = Direction::Higher;
        self
    }

    /// Makes this the number that stands for the metric in its condition.
    #[must_use]
    pub fn primary(mut self) -> Self {
        self.primary = true;
        self
    }

    /// Says that the model's own answers decide which prompts are behind it.
    #[must_use]
    pub fn selected(mut self) -> Self {
        self.selected = true;
        self
    }
}

impl Axis {
    /// A labelled axis without unit, its range chosen from the data.
    #[must_use]
    pub fn new(label: &str) -> Self {
        Self {
            label: label.to_owned(),
            ..Self::default()
        }
    }

    /// An axis of ratios, from 0 to 1.
    #[must_use]
    pub fn ratio(label: &str) -> Self {
        Self {
            label: label.to_owned(),
            unit: "ratio".to_owned(),
            domain: Some([0.0, 1.0]),
        }
    }

    /// Sets the unit.
    #[must_use]
    pub fn unit(mut self, unit: &str) -> Self {
        unit.clone_into(&mut self.unit);
        self
    }
}

impl Series {
    /// A named series.
    #[must_use]
    pub fn new(name: &str, points: Vec<Point>) -> Self {
        Self {
            name: name.to_owned(),
            points,
        }
    }
}

impl Point {
    /// A point over a category.
    #[must_use]
    pub fn category(label: &str, y: impl Into<Option<f64>>) -> Self {
        Self {
            label: label.to_owned(),
            y: y.into(),
            ..Self::default()
        }
    }

    /// A point over a number.
    #[must_use]
    pub fn at(x: f64, y: impl Into<Option<f64>>) -> Self {
        Self {
            x: Some(x),
            y: y.into(),
            ..Self::default()
        }
    }

    /// Adds the bounds of an interval.
    #[must_use]
    pub fn bounds(mut self, ci: Option<&Interval>) -> Self {
        self.low = ci.map(|ci| ci.low);
        self.high = ci.map(|ci| ci.high);
        self
    }

    /// Adds the number of samples.
    #[must_use]
    pub fn samples(mut self, n: u64) -> Self {
        self.n = Some(n);
        self
    }

    /// A box over a category: whiskers, quartiles and median, in rising order.
    #[must_use]
    pub fn quartiles(label: &str, [low, lower, median, upper, high]: [f64; 5]) -> Self {
        Self {
            low: Some(low),
            high: Some(high),
            quartiles: Some([lower, upper]),
            ..Self::category(label, median)
        }
    }
}
