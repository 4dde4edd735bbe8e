//! Both engines on the same models: the same tokens, and statistics that differ by rounding alone.

use std::path::Path;

use driftgauge_engine::{
    BatchGenerator, GenerateRequest, Generator, LOGITS_AGREE, LoadModel, LocalEngine, Probes,
    Sampling, Testimony,
};
use driftgauge_lm::tokenize::train_byte_level_bpe;
use driftgauge_lm::worker::{FolderGenerator, load_generator};
use driftgauge_problem::Problem;
use driftgauge_record::Completion;
use driftgauge_tests::architectures::{references, write_model};

use crate::support::{self, Golden, golden};

/// Largest difference of a statistic, in nats.
const ROUNDING: f32 = 1e-4;

fn native(model: &LoadModel) -> FolderGenerator {
    let model = LoadModel {
        engine: LocalEngine::Native,
        ..model.clone()
    };
    let ask = |probes: &Probes| driftgauge_mistralrs::testify(&model, probes);
    load_generator(&model, &ask).unwrap_or_else(|why| panic!("{}: {why}", model.folder.display()))
}

/// The answers to all requests, asked side by side.
fn together(engine: &mut FolderGenerator, requests: &[GenerateRequest]) -> Vec<Completion> {
    for (id, request) in requests.iter().enumerate() {
        engine.put(id as u64, request);
    }
    let mut answers = vec![None; requests.len()];
    while engine.pending() > 0 {
        for (id, answer) in engine.advance() {
            answers[id as usize] = Some(answer.unwrap());
        }
    }
    answers.into_iter().map(Option::unwrap).collect()
}

/// Holds the answers of both engines against each other.
fn agree(name: &str, model: &LoadModel, requests: &[GenerateRequest]) {
    let mut engine = driftgauge_mistralrs::load(model).unwrap();
    let native = together(&mut native(model), requests);
    for (number, (request, native)) in requests.iter().zip(native).enumerate() {
        let answer = engine.generate(std::slice::from_ref(request)).remove(0);
        let answer = answer.unwrap();
        let place = format!("{name}, request {number}");
        let rest = |answer: &Completion| Completion {
            token_logprob: Vec::new(),
            token_top1_logprob: Vec::new(),
            token_margin: Vec::new(),
            token_top10_entropy: Vec::new(),
            token_top10_mass: Vec::new(),
            token_entropy: Vec::new(),
            token_top_logprobs: Vec::new(),
            first_token_logprob: Default::default(),
            ..answer.clone()
        };
        assert_eq!(rest(&answer), rest(&native), "{place}");
        for (ours, theirs) in statistics(&native).zip(statistics(&answer)) {
            assert_eq!(ours.len(), theirs.len(), "{place}");
            for (ours, theirs) in ours.iter().zip(&theirs) {
                assert!(
                    (ours - theirs).abs() <= ROUNDING,
                    "{place}: {ours} {theirs}"
                );
            }
        }
    }
}

fn statistics(answer: &Completion) -> impl Iterator<Item = Vec<f32>> {
    [
        answer.token_logprob.clone(),
        answer.token_top1_logprob.clone(),
        answer.token_margin.clone(),
        answer.token_top10_entropy.clone(),
        answer.token_top10_mass.clone(),
        answer.token_entropy.clone(),
        answer.token_top_logprobs.clone(),
        answer.first_token_logprob.values().copied().collect(),
    ]
    .into_iter()
}

#[test]
fn every_golden_model_answers_alike() {
    for name in ["llama", "llama3-rope", "mistral", "qwen2", "qwen3"] {
        let folder = golden(name);
        let reference = Golden::read(&folder);
        let mut requests = Vec::new();
        for (seed, sample) in (0..).zip(&reference.samples) {
            let greedy = support::request(&sample.messages, reference.max_new_tokens);
            let drawn = GenerateRequest {
                sampling: Sampling {
                    temperature: 0.9,
                    top_p: Some(0.95),
                    seed,
                    ..Sampling::greedy()
                },
                top_logprobs: 3,
                watch_first_token: vec!["the".to_owned(), " king".to_owned()],
                stop: vec!["queen".to_owned()],
                ..greedy.clone()
            };
            requests.extend([greedy, drawn]);
        }
        agree(name, &support::model(&folder), &requests);
    }
}

/// The references of architectures that both engines compute within their whole context.
const BOTH: [&str; 13] = [
    "gemma",
    "gemma2",
    "glm4",
    "llama",
    "llama-linear",
    "llama-llama3",
    "mixtral",
    "phi3",
    "phi3-partial",
    "qwen2",
    "qwen3",
    "smollm3",
    "mistral",
];

#[test]
fn architectures_of_both_engines_answer_alike() {
    let mut compared = 0;
    for (name, reference) in references() {
        if !BOTH.contains(&name.as_str()) {
            continue;
        }
        let dir = tempfile::tempdir().unwrap();
        write_model(dir.path(), &reference);
        tokenizer(dir.path());
        let model = LoadModel {
            plain_text: true,
            longest: Some(40),
            ..support::model(dir.path())
        };
        let texts = [
            "the king of the island",
            "a",
            "who wrote the river to the queen?",
        ];
        let requests: Vec<GenerateRequest> = texts.map(|text| plain(text, 8)).into();
        agree(&name, &model, &requests);
        compared += 1;
    }
    assert_eq!(compared, BOTH.len());
}

fn plain(text: &str, max_tokens: usize) -> GenerateRequest {
    GenerateRequest {
        text: Some(text.to_owned()),
        ..support::request(&[], max_tokens)
    }
}

/// Loads the native engine with mistral.rs as its witness; `change` may forge what that says.
fn witnessed(
    model: &LoadModel,
    change: impl Fn(Testimony) -> Testimony + Sync,
) -> Result<FolderGenerator, Problem> {
    let ask = |probes: &Probes| driftgauge_mistralrs::testify(model, probes).map(&change);
    Ok(load_generator(model, &ask)?)
}

fn agreement(engine: &FolderGenerator) -> &str {
    let checks = &engine.loaded().checks;
    let found = checks.iter().find(|check| check.name == LOGITS_AGREE);
    &found.unwrap().detail
}

#[test]
fn what_mistralrs_said_is_asked_once_for_each_reach() {
    let model = LoadModel {
        engine: LocalEngine::Native,
        longest: Some(150),
        ..support::model(&golden("llama"))
    };
    let engine = witnessed(&model, |said| said).unwrap();
    let detail = agreement(&engine);
    assert!(detail.contains("are those of mistral.rs"), "{detail}");
    assert!(detail.contains(", 150 tokens"), "{detail}");
    let proof = engine.loaded().proof.clone();
    let known = LoadModel { proof, ..model };
    // Now nobody needs to be asked, and the short probes are held against what was said.
    let engine = load_generator(&known, &nobody).unwrap();
    assert!(agreement(&engine).contains("proven before"));
    assert_eq!(engine.loaded().proof, None);
    let shorter = LoadModel {
        longest: Some(20),
        ..known.clone()
    };
    assert!(load_generator(&shorter, &nobody).is_ok());
    let longer = LoadModel {
        longest: Some(151),
        ..known.clone()
    };
    let why = Problem::from(load_generator(&longer, &nobody).err().unwrap());
    assert!(why.to_string().contains("nobody is asked"), "{why}");
    let mut other = known;
    let proof = other.proof.as_mut().unwrap();
    proof.answers[0][0].1 += 2e-4;
    let why = Problem::from(load_generator(&other, &nobody).err().unwrap());
    assert!(why.to_string().contains(LOGITS_AGREE), "{why}");
}

#[test]
fn a_witness_that_says_something_else_is_believed() {
    let model = LoadModel {
        engine: LocalEngine::Native,
        ..support::model(&golden("qwen2"))
    };
    let forged = |change: fn(&mut (u32, f64))| {
        witnessed(&model, |said| {
            let Testimony::Answers {
                mut answers,
                beyond,
            } = said
            else {
                panic!("mistral.rs computes it");
            };
            change(&mut answers.last_mut().unwrap().as_mut().unwrap()[1]);
            Testimony::Answers { answers, beyond }
        })
    };
    assert!(forged(|_| {}).is_ok());
    let changes: [fn(&mut (u32, f64)); 2] = [
        |(_, ln_p)| *ln_p -= 2e-4,
        |(token, ln_p)| {
            *token += 1;
            *ln_p -= 0.5;
        },
    ];
    for change in changes {
        let why = forged(change).err().unwrap().to_string();
        assert!(why.contains("`logits-agree` failed"), "{why}");
    }
}

/// Where mistral.rs does not compute what transformers does, and our decoder does, the report says who was asked instead.
#[test]
fn what_mistralrs_does_not_compute_is_held_against_a_forward_pass() {
    let mut seen = Vec::new();
    for (name, reference) in references() {
        if !["llama-yarn", "qwen3-yarn", "mistral-window"].contains(&name.as_str()) {
            continue;
        }
        let dir = tempfile::tempdir().unwrap();
        write_model(dir.path(), &reference);
        tokenizer(dir.path());
        let model = LoadModel {
            engine: LocalEngine::Native,
            plain_text: true,
            longest: Some(60),
            ..support::model(dir.path())
        };
        let engine = witnessed(&model, |said| said).unwrap();
        seen.push((name, agreement(&engine).to_owned()));
    }
    assert_eq!(seen.len(), 3);
    for (name, detail) in &seen {
        assert!(
            detail.contains("an independent forward pass, since"),
            "{name}: {detail}"
        );
    }
}

/// A tokenizer larger than the embedding of small references.
fn tokenizer(folder: &Path) {
    let bytes = train_byte_level_bpe(std::iter::empty(), 258, &["<s>", "</s>"]).unwrap();
    std::fs::write(folder.join("tokenizer.json"), bytes).unwrap();
    std::fs::write(folder.join("tokenizer_config.json"), "{}").unwrap();
}

fn nobody(_: &Probes) -> Result<Testimony, Problem> {
    Err("nobody is asked".into())
}

/// What the native engine does not compute it refuses by name.
#[test]
fn what_is_not_computed_is_refused() {
    let refused = |model: LoadModel| {
        Problem::from(load_generator(&model, &nobody).err().unwrap()).to_string()
    };
    let model = support::model(&golden("llama"));
    let quantised = |name: &str| LoadModel {
        quantization: Some(name.to_owned()),
        ..model.clone()
    };
    let (unknown, misfit) = (quantised("hqq4"), quantised("q4k"));
    let gguf = LoadModel {
        gguf: Some("model.gguf".to_owned()),
        ..model.clone()
    };
    let half = LoadModel {
        dtype: "f16".to_owned(),
        ..model.clone()
    };
    for (model, what) in [(unknown, "hqq4"), (half, "f16")] {
        let why = refused(model);
        assert!(
            why.contains(what) && why.contains("engine: mistralrs"),
            "{why}"
        );
    }
    let why = refused(misfit);
    assert!(why.contains("q4k") && why.contains("a row of"), "{why}");
    let nowhere = LoadModel {
        folder: Path::new("nowhere").to_owned(),
        ..model
    };
    assert!(refused(nowhere).contains("nowhere"));
    assert!(refused(gguf).contains("model.gguf"));
}
