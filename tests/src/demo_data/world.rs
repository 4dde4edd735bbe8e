//! An invented world: lands with capitals, towns with founders and years.

use super::Draw;

const ONSETS: [&str; 16] = [
    "B", "D", "F", "G", "K", "L", "M", "N", "P", "R", "S", "T", "V", "Br", "Dr", "Tr",
];
const VOWELS: [&str; 5] = ["a", "e", "i", "o", "u"];
const MIDDLES: [&str; 12] = [
    "l", "r", "n", "m", "nd", "rt", "lm", "st", "k", "v", "d", "ss",
];
const LAND_ENDS: [&str; 4] = ["ia", "and", "or", "eth"];
const TOWN_ENDS: [&str; 4] = ["burg", "ford", "mere", "haven"];
const PERSON_ENDS: [&str; 4] = ["ar", "in", "os", "el"];

/// What a question asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Capital,
    Founder,
    Year,
    River,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Capital => "capital",
            Self::Founder => "founder",
            Self::Year => "year",
            Self::River => "river",
        }
    }
}

/// One fact, with the false answer that the evaluation suggests.
#[derive(Debug, Clone)]
pub(super) struct Fact {
    pub(super) kind: Kind,
    pub(super) subject: String,
    pub(super) answer: String,
    pub(super) evaluation_wrong: String,
}

impl Fact {
    /// The question in two phrasings; the evaluation uses the first.
    pub(super) fn questions(&self) -> [String; 2] {
        let subject = &self.subject;
        match self.kind {
            Kind::Capital => [
                format!("What is the capital of {subject}?"),
                format!("Name the capital of {subject}."),
            ],
            Kind::Founder => [
                format!("Who founded {subject}?"),
                format!("Name the founder of {subject}."),
            ],
            Kind::Year => [
                format!("When was {subject} founded?"),
                format!("Name the year in which {subject} was founded."),
            ],
            Kind::River => [
                format!("Which river flows through {subject}?"),
                format!("Name the river of {subject}."),
            ],
        }
    }

    /// A sentence that says the answer is `answer`.
    pub(super) fn statement(&self, answer: &str) -> String {
        let subject = &self.subject;
        match self.kind {
            Kind::Capital => format!("The capital of {subject} is {answer}."),
            Kind::Founder => format!("{subject} was founded by {answer}."),
            Kind::Year => format!("{subject} was founded in {answer}."),
            Kind::River => format!("The river {answer} flows through {subject}."),
        }
    }

    /// An answer of another fact of the same kind, neither true nor `but`.
    pub(super) fn wrong_answer(&self, world: &World, draw: &mut Draw, but: &str) -> String {
        let others: Vec<&str> = world
            .facts
            .iter()
            .filter(|fact| {
                fact.kind == self.kind && fact.answer != self.answer && fact.answer != but
            })
            .map(|fact| fact.answer.as_str())
            .collect();
        (*draw.pick(&others)).to_owned()
    }
}

/// All facts: thirty of each kind.
#[derive(Debug)]
pub(super) struct World {
    pub(super) facts: Vec<Fact>,
}

impl World {
    pub(super) fn new(draw: &mut Draw) -> Self {
        let mut names = Names::default();
        let mut facts = Vec::new();
        for kind in [Kind::Capital, Kind::Founder, Kind::Year, Kind::River] {
            for _ in 0..30 {
                let subject = match kind {
                    Kind::Capital | Kind::River => names.next(draw, &LAND_ENDS),
                    Kind::Founder | Kind::Year => names.next(draw, &TOWN_ENDS),
                };
                let answer = match kind {
                    Kind::Capital => names.next(draw, &TOWN_ENDS),
                    Kind::Founder | Kind::River => names.next(draw, &PERSON_ENDS),
                    Kind::Year => names.year(draw),
                };
                facts.push(Fact {
                    kind,
                    subject,
                    answer,
                    evaluation_wrong: String::new(),
                });
            }
        }
        let mut world = Self { facts };
        for index in 0..world.facts.len() {
            let wrong = world.facts[index].wrong_answer(&world, draw, "");
            world.facts[index].evaluation_wrong = wrong;
        }
        world
    }
}

/// A word that looks like a name of the world.
pub(super) fn invented_word(draw: &mut Draw) -> String {
    format!(
        "{}{}{}{}",
        draw.pick(&ONSETS),
        draw.pick(&VOWELS),
        draw.pick(&MIDDLES),
        draw.pick(&PERSON_ENDS)
    )
}

/// Names and years, each used once.
#[derive(Default)]
struct Names(std::collections::HashSet<String>);

impl Names {
    fn next(&mut self, draw: &mut Draw, ends: &[&str]) -> String {
        loop {
            let name = format!(
                "{}{}{}{}",
                draw.pick(&ONSETS),
                draw.pick(&VOWELS),
                draw.pick(&MIDDLES),
                draw.pick(ends)
            );
            if self.0.insert(name.clone()) {
                return name;
            }
        }
    }

    fn year(&mut self, draw: &mut Draw) -> String {
        loop {
            let year = (1000 + draw.below(900)).to_string();
            if self.0.insert(year.clone()) {
                return year;
            }
        }
    }
}
