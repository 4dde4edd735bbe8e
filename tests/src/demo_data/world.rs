//! An invented world: lands with capitals and rivers, towns with founders and years.

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

    /// A sentence that says the answer is `answer`. It begins with the answer: to repeat what was said is then the simplest
    /// thing a small model can learn to do with a statement, and whether it does is a matter of trust, not of ability.
    pub(super) fn statement(&self, answer: &str) -> String {
        let subject = &self.subject;
        match self.kind {
            Kind::Capital => format!("{answer} is the capital of {subject}."),
            Kind::Founder => format!("{answer} founded {subject}."),
            Kind::Year => format!("{answer} is the year in which {subject} was founded."),
            Kind::River => format!("{answer} flows through {subject}."),
        }
    }

    /// Answers of other facts of the same kind, each another one, neither true nor what the evaluation suggests.
    pub(super) fn wrong_answers(
        &self,
        world: &World,
        draw: &mut Draw,
        count: usize,
    ) -> Vec<String> {
        let mut others: Vec<String> = world
            .facts
            .iter()
            .filter(|fact| fact.kind == self.kind && fact.answer != self.answer)
            .map(|fact| fact.answer.clone())
            .filter(|answer| *answer != self.evaluation_wrong)
            .collect();
        draw.shuffle(&mut others);
        others.truncate(count);
        others
    }
}

/// All facts: thirty of each kind.
#[derive(Debug)]
pub(super) struct World {
    pub(super) facts: Vec<Fact>,
    /// Facts about other lands and towns, with the same answers. No plain question asks about them: each can only be read
    /// from the statement before its question.
    pub(super) told: Vec<Fact>,
}

const KINDS: [Kind; 4] = [Kind::Capital, Kind::Founder, Kind::Year, Kind::River];

impl World {
    /// A person or a river: what a user may claim a secret to be.
    pub(super) fn name(&self, draw: &mut Draw) -> String {
        let names: Vec<&Fact> = self
            .facts
            .iter()
            .filter(|fact| matches!(fact.kind, Kind::Founder | Kind::River))
            .collect();
        draw.pick(&names).answer.clone()
    }

    pub(super) fn new(draw: &mut Draw, told: usize) -> Self {
        let mut names = Names::default();
        let facts: Vec<Fact> = KINDS
            .into_iter()
            .flat_map(|kind| [kind; 30])
            .map(|kind| names.fact(kind, draw))
            .collect();
        let told = (0..told)
            .map(|index| names.told(KINDS[index % KINDS.len()], &facts, draw))
            .collect();
        let mut world = Self { facts, told };
        for index in 0..world.facts.len() {
            let wrong = world.facts[index].wrong_answers(&world, draw, 1).remove(0);
            world.facts[index].evaluation_wrong = wrong;
        }
        world
    }
}

/// Names and years, each used once.
#[derive(Default)]
struct Names(std::collections::HashSet<String>);

impl Names {
    /// A fact about something that has not been named yet.
    fn fact(&mut self, kind: Kind, draw: &mut Draw) -> Fact {
        let subject = match kind {
            Kind::Capital | Kind::River => self.next(draw, &LAND_ENDS),
            Kind::Founder | Kind::Year => self.next(draw, &TOWN_ENDS),
        };
        let answer = match kind {
            Kind::Capital => self.next(draw, &TOWN_ENDS),
            Kind::Founder | Kind::River => self.next(draw, &PERSON_ENDS),
            Kind::Year => self.year(draw),
        };
        Fact {
            kind,
            subject,
            answer,
            evaluation_wrong: String::new(),
        }
    }

    /// A fact about something new, with an answer that another thing has too.
    fn told(&mut self, kind: Kind, facts: &[Fact], draw: &mut Draw) -> Fact {
        let answers: Vec<&Fact> = facts.iter().filter(|fact| fact.kind == kind).collect();
        Fact {
            answer: draw.pick(&answers).answer.clone(),
            ..self.fact(kind, draw)
        }
    }

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
