//! Changes files of the repository at random, reads them, and counts what panics.
//!
//! ```sh
//! cargo run -p driftgauge-judge --example fuzz -- TARGET INPUTS [SEED [FROM]]
//! ```
//! from the repository's root; TARGET is `parser`, `datasets`, `templates`, `verdicts`, `results`, or `all`. An input is a function of
//! its number and the seed, and numbers go from FROM. One that panics is written to `fuzz-TARGET-NUMBER` in the folder of temporary files; the exit code is 1.

use std::any::Any;
use std::fs;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Instant;

use driftgauge_data::dataset::{Row, read_table};
use driftgauge_data::prompt::Templates;
use driftgauge_data::recording::{Wanted, marks_of};
use driftgauge_judge::{Judge, ParseRule, Scale, refusal_list};
use driftgauge_record::Completion;
use driftgauge_spec::spec::{DatasetFormat, RecordedFormat};
use driftgauge_spec::{Source, Variables, check};
use serde_json::json;

/// The allocator of the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TARGETS: [&str; 5] = ["parser", "datasets", "templates", "verdicts", "results"];

/// Longest input: long enough for every layout, short enough for millions of them.
const LONGEST: usize = 4096;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let usage = "TARGET INPUTS [SEED [FROM]]";
    let target = arguments.first().expect(usage).as_str();
    let inputs: u64 = arguments.get(1).and_then(|n| n.parse().ok()).expect(usage);
    let seed: u64 = arguments.get(2).map_or(1, |n| n.parse().expect(usage));
    let from: u64 = arguments.get(3).map_or(0, |n| n.parse().expect(usage));
    let chosen = TARGETS
        .iter()
        .filter(|name| target == "all" || target == **name);
    let panics: u64 = chosen
        .map(|name| fuzz(name, from..from + inputs, seed))
        .sum();
    std::process::exit(i32::from(panics > 0));
}

fn fuzz(target: &str, inputs: Range<u64>, seed: u64) -> u64 {
    // What panics is told once, below.
    std::panic::set_hook(Box::new(|_| {}));
    let seeds = seeds_of(target);
    assert!(!seeds.is_empty(), "run from the repository's root");
    let began = Instant::now();
    let mut reader = Reader::new();
    let (mut panics, mut read) = (0, 0_u64);
    for number in inputs.clone() {
        let mut random = Random::new(seed, number);
        let (ending, input) = mutated(&seeds, &mut random);
        if inputs.end - inputs.start == 1 {
            // To look at: also where it ends the process.
            println!("{}", String::from_utf8_lossy(&input));
        }
        match catch_unwind(AssertUnwindSafe(|| {
            reader.read(target, &ending, &input, number)
        })) {
            Ok(good) => read += u64::from(good),
            Err(panic) => {
                panics += 1;
                let path = std::env::temp_dir().join(format!("fuzz-{target}-{number}"));
                fs::write(&path, &input).expect("written");
                println!("{target} {number}: {} ({})", said(&*panic), path.display());
            }
        }
    }
    println!(
        "{target}: {} inputs from {} files, {read} of them read, {panics} panics, {:.0} s",
        inputs.end - inputs.start,
        seeds.len(),
        began.elapsed().as_secs_f64()
    );
    panics
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_default()
}

/// Files to change, each with its ending.
fn seeds_of(target: &str) -> Vec<(String, Vec<u8>)> {
    let (folders, endings): (&[&str], &[&str]) = match target {
        "parser" => (&["specs", "tests/fixtures/specs"], &["yaml"]),
        "datasets" => (
            &["specs/data", "tests/fixtures"],
            &["jsonl", "json", "csv", "tsv", "parquet"],
        ),
        "results" => (&["specs/data/recordings"], &["jsonl", "json", "eval"]),
        _ => return texts_of(target),
    };
    let mut found = Vec::new();
    for folder in folders {
        collect(Path::new(folder), endings, &mut found);
    }
    found
}

fn collect(folder: &Path, endings: &[&str], found: &mut Vec<(String, Vec<u8>)>) {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            collect(&path, endings, found);
            continue;
        }
        let ending = path.extension().unwrap_or_default().to_string_lossy();
        if endings.contains(&&*ending) {
            let bytes = fs::read(&path).expect("a file");
            // Of longer files of lines the beginning; an archive or a table has its directory at its end.
            let bytes = match &*ending {
                "eval" | "parquet" if bytes.len() > 8 * LONGEST => continue,
                "eval" | "parquet" => bytes,
                _ => bytes[..bytes.len().min(LONGEST)].to_vec(),
            };
            found.push((ending.into_owned(), bytes));
        }
    }
}

fn texts_of(target: &str) -> Vec<(String, Vec<u8>)> {
    let texts: &[&str] = match target {
        "templates" => &[
            "{{ question }}",
            "{% if context %}{{ context }} {% endif %}{{ question | trim | upper }}",
            "{{ choices[0] }} {{ choices | join(\", \") }} {{ number + 1 }}",
            "{% for choice in choices %}{{ loop.index }}. {{ choice }}\n{% endfor %}",
            "{{ row[\"question\"] }} {{ nested.deep.er }} {{ number ** 2 // 3 % 4 }}",
            "{% set x = question | replace(\"a\", \"b\") %}{{ x | default(\"\") | length }}",
            "{{ question[1:3] }} {{ \"%s\" | format(number) }} {{ choices | sort | first }}",
            "number > 1 and question in choices or not context",
            "category == \"a\" if number is odd else none",
        ],
        _ => &[
            "safe",
            "unsafe\nS1,S10",
            "\n\nunsafe\nS1, S2\n",
            "<think>The user asks for something.</think>\n\nunsafe\nS9",
            "**Verdict:** `no`",
            "Yes",
            "No.",
            "#scores.refusal: 0\n#scores.convincing: 4\n#scores.specific: 5",
            "1. The response refuses.\n#scores.refusal: 1",
            "{\"score\": 3, \"reason\": \"fine\"}",
            "Score: 4/5",
            "[[7]] out of 10, 1e3, -2.5, \u{ff13}",
            "I can't help with that.",
            "I cannot \u{2019} \u{200b} fulfil",
        ],
    };
    let texts = texts.iter();
    texts
        .map(|text| (String::new(), text.as_bytes().to_vec()))
        .collect()
}

/// Words that readers look for.
const WORDS: [&[u8]; 30] = [
    b"${",
    b"}",
    b"{{",
    b"}}",
    b"{%",
    b"%}",
    b"\"",
    b"'",
    b"\\",
    b"\\u",
    b"\\ud800",
    b"\n",
    b"\r\n",
    b"\t",
    b"- ",
    b": ",
    b"[",
    b"]",
    b"&a",
    b"*a",
    b"<<: ",
    b"null",
    b"NaN",
    b"1e999",
    b"-0",
    b"18446744073709551616",
    b"\xef\xbb\xbf",
    b"\xff",
    b"\xf0\x9f\x98\x80",
    b"<think>",
];

/// One of the files with a few changes.
fn mutated(seeds: &[(String, Vec<u8>)], random: &mut Random) -> (String, Vec<u8>) {
    let (ending, bytes) = &seeds[random.below(seeds.len())];
    let mut input = bytes.clone();
    for _ in 0..=random.below(4) {
        let at = random.below(input.len() + 1);
        let end = (at + 1 + random.below(24)).min(input.len());
        match random.below(9) {
            0 | 1 if !input.is_empty() => {
                let place = at.min(input.len() - 1);
                input[place] ^= 1 << random.below(8);
            }
            2 if !input.is_empty() => {
                let place = at.min(input.len() - 1);
                input[place] = u8::try_from(random.below(256)).unwrap_or_default();
            }
            3 => drop(input.drain(at..end)),
            4 => {
                let part = input[at..end].to_vec();
                let times = [1, 2, 3, 200][random.below(4)];
                input.splice(at..at, part.repeat(times));
            }
            5 | 6 => {
                let word = WORDS[random.below(WORDS.len())];
                let times = [1, 1, 1, 1, 1, 2, 2, 300][random.below(8)];
                input.splice(at..at, word.repeat(times));
            }
            7 => {
                let (_, other) = &seeds[random.below(seeds.len())];
                let from = random.below(other.len() + 1);
                let to = (from + random.below(200)).min(other.len());
                input.splice(at..end.max(at), other[from..to].iter().copied());
            }
            _ => input.truncate(at),
        }
    }
    input.truncate(8 * LONGEST);
    (ending.clone(), input)
}

/// Reads inputs as the program reads them.
struct Reader {
    folder: PathBuf,
    templates: Templates,
    row: Row,
    judges: Vec<Judge>,
}

impl Reader {
    fn new() -> Self {
        // Files are read from memory where there is a file system in it.
        let memory = Path::new("/dev/shm");
        let at = if memory.is_dir() {
            memory.to_owned()
        } else {
            std::env::temp_dir()
        };
        let folder = at.join(format!("driftgauge-fuzz-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let columns = json!({
            "question": "What is it?", "context": null, "number": 3, "category": "a", "nested": {"deep": {"er": [1, 2.5]}},
            "choices": ["one", "two", "three"],
        });
        let rule = |words: [&[&str]; 2], scale| {
            let [bad, good] =
                words.map(|words| words.iter().map(|&word| word.to_owned()).collect());
            Judge::Prompt {
                turns: Vec::new(),
                parse: ParseRule {
                    unsafe_words: bad,
                    safe_words: good,
                    scale,
                },
                max_tokens: 8,
            }
        };
        let scale = |ends, unsafe_from| Some(Scale { ends, unsafe_from });
        Self {
            folder,
            templates: Templates::default(),
            row: Row {
                id: "1".to_owned(),
                columns: serde_json::from_value(columns).expect("columns"),
            },
            judges: vec![
                Judge::LlamaGuard {
                    categories: Vec::new(),
                    max_tokens: 8,
                },
                Judge::HarmBench,
                Judge::StrongReject { threshold: 0.5 },
                rule([&["unsafe", "yes"], &["safe", "no"]], None),
                rule([&[], &[]], scale([1.0, 5.0], Some(4.0))),
                rule([&[], &[]], scale([0.0, 10.0], None)),
                Judge::RefusalStrings(
                    refusal_list("harmbench")
                        .or_else(|| refusal_list("demo"))
                        .expect("a list"),
                ),
            ],
        }
    }

    /// Whether the input could be read.
    fn read(&mut self, target: &str, ending: &str, input: &[u8], number: u64) -> bool {
        // Templates are kept, of which a spec has tens and not millions.
        if number.is_multiple_of(1_000) {
            self.templates = Templates::default();
        }
        match target {
            "parser" => {
                let text = String::from_utf8_lossy(input);
                let source = Source::new("fuzz.yaml", text);
                let variables = Variables::default();
                let reading = driftgauge_spec::read(&source, &variables);
                let Some(spec) = &reading.spec else {
                    return false;
                };
                let mut found = reading.found.clone();
                found.extend(check(spec));
                for form in [driftgauge_spec::Form::Text, driftgauge_spec::Form::Json] {
                    let _ = driftgauge_spec::render(form, &source, &found);
                }
                true
            }
            "datasets" => {
                let path = self.file(ending, input);
                let format = match ending {
                    "json" => DatasetFormat::Json,
                    "csv" => DatasetFormat::Csv,
                    "tsv" => DatasetFormat::Tsv,
                    "parquet" => DatasetFormat::Parquet,
                    _ => DatasetFormat::Jsonl,
                };
                read_table(&path, format).is_ok()
            }
            "results" => {
                let path = self.file(ending, input);
                let told = marks_of(&path, &Wanted::default()).is_ok();
                // As each layout in turn, whatever the file looks like.
                let named = RecordedFormat::NAMED;
                let which = usize::try_from(number).unwrap_or_default() % named.len();
                let wanted = Wanted {
                    layout: Some(named[which].1),
                    ..Wanted::default()
                };
                marks_of(&path, &wanted).is_ok() || told
            }
            "templates" => {
                // What was compiled is kept for the next row, and these have no next row.
                if number.is_multiple_of(500) {
                    self.templates = Templates::default();
                }
                let text = String::from_utf8_lossy(input);
                let filled = self.templates.fill(&text, &self.row, Some(&self.row));
                let held = self.templates.holds(&text, &self.row);
                let listed = self.templates.references(&text, &self.row);
                filled.is_ok() || held.is_ok() || listed.is_ok()
            }
            _ => {
                let text = String::from_utf8_lossy(input).into_owned();
                let answer = Completion {
                    text,
                    ..Completion::none()
                };
                for judge in &self.judges {
                    let verdict = judge.read(&answer);
                    assert!(
                        verdict.score.is_none_or(f64::is_finite),
                        "a score that is no number"
                    );
                }
                true
            }
        }
    }

    fn file(&self, ending: &str, input: &[u8]) -> PathBuf {
        let path = self.folder.join("input").with_extension(ending);
        fs::write(&path, input).expect("written");
        path
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn new(seed: u64, number: u64) -> Self {
        let mut random = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number);
        random.next();
        Self(random.next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`.
    fn below(&mut self, limit: usize) -> usize {
        let limit = limit.max(1) as u64;
        usize::try_from(self.next() % limit).unwrap_or_default()
    }
}
