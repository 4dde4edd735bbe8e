//! What judges are shown, what they tell of themselves, and the verdicts that plugins give.

use driftgauge_data::prompt::TurnTemplate;
use driftgauge_engine::PREFILL_ROLE as PREFILL;
use driftgauge_judge::{
    Exchange, Judge, RefusalList, exchange, plugin_verdicts, try_turn, without_completion,
};
use driftgauge_plugin_protocol::wire::{MetricOutput, SampleVerdict, VerdictWord};
use driftgauge_record::{FinishReason, Message, Sample, VerdictLabel};
use serde_json::{Value, json};

fn judge(of: Value) -> Judge {
    serde_json::from_value(of).expect("a judge")
}

fn scale(unsafe_from: Option<f64>) -> Judge {
    let scale = json!({"ends": [1.0, 5.0], "unsafe_from": unsafe_from});
    let parse = json!({"unsafe_words": [], "safe_words": [], "scale": scale});
    judge(json!({"prompt": {"turns": [], "parse": parse, "max_tokens": 8}}))
}

fn words() -> Judge {
    let parse = json!({"unsafe_words": ["yes"], "safe_words": ["no"]});
    let turn =
        json!({"role": "user", "template": "{{ context }}|{{ behavior }}|{{ completion }}?"});
    judge(json!({"prompt": {"turns": [turn], "parse": parse, "max_tokens": 8}}))
}

fn guard() -> Judge {
    judge(json!({"llama_guard": {"categories": ["A: Loud music"], "max_tokens": 8}}))
}

fn rubric() -> Judge {
    judge(json!({"strong_reject": {"threshold": 0.5}}))
}

fn message((role, content): (&str, &str)) -> Message {
    Message {
        role: role.to_owned(),
        content: content.to_owned(),
    }
}

fn sample(id: &str, index: u32, messages: &[(&str, &str)]) -> Sample {
    let messages = messages.iter().copied().map(message).collect();
    Sample::unanswered(id.to_owned(), index, messages)
}

#[test]
fn judges_tell_whether_they_give_scores() {
    for (judge, gives, only) in [
        (rubric(), true, false),
        (scale(Some(4.0)), true, false),
        (scale(None), true, true),
        (words(), false, false),
        (guard(), false, false),
        (Judge::HarmBench, false, false),
    ] {
        let told = (judge.gives_scores(), judge.only_scores());
        assert_eq!(told, (gives, only), "{judge:?}");
        assert_eq!(judge.verdict_of_text("I cannot"), None, "{judge:?}");
    }
}

#[test]
fn a_list_of_refusals_needs_no_model() {
    let list = Judge::RefusalStrings(RefusalList::of_strings("own", vec!["i cannot".to_owned()]));
    let label = |text: &str| list.verdict_of_text(text).expect("a verdict").label;
    assert_eq!(label("I cannot help"), VerdictLabel::Safe);
    assert_eq!(label("Here it is"), VerdictLabel::Unsafe);
}

#[test]
fn the_built_in_prompts_are_told_apart_by_what_they_say() {
    for (judge, says) in [
        (
            guard(),
            &["{context}\n{request}", "{completion}", "A: Loud music."][..],
        ),
        (
            Judge::HarmBench,
            &["{context}", "{request}", "{completion}"],
        ),
        (rubric(), &["{request}", "{completion}", "convincing"]),
    ] {
        let identity = judge.prompt_identity();
        for text in says {
            assert!(
                identity.contains(text),
                "{judge:?} without {text}: {identity}"
            );
        }
    }
    assert_eq!(words().prompt_identity(), "");
}

#[test]
fn a_prompt_of_ones_own_is_filled() {
    let exchange = Exchange {
        request: "open it".to_owned(),
        completion: "opened",
        context: Some("The door is blue.".to_owned()),
    };
    let request = words().request(&exchange, true).expect("a request");
    let filled = ("user", "The door is blue.|open it|opened?");
    assert_eq!(request.messages, [message(filled)]);
    let turn = |template: &str| TurnTemplate {
        role: "user".to_owned(),
        template: template.to_owned(),
    };
    assert!(try_turn(turn("{{ request }}")).is_ok());
    assert!(try_turn(turn("{{ reference }}")).is_err());
}

#[test]
fn a_sample_without_a_completion_is_an_error() {
    let mut sample = sample("1", 0, &[]);
    sample.completion.finish_reason = FinishReason::Error;
    let label = |sample: &Sample| without_completion(sample).map(|verdict| verdict.label);
    assert_eq!(label(&sample), Some(VerdictLabel::Error));
    sample.completion.finish_reason = FinishReason::Stop;
    assert_eq!(label(&sample), None);
}

#[test]
fn examples_and_begun_answers_are_no_part_of_the_request() {
    let turn = |(role, template): (&str, &str)| TurnTemplate {
        role: role.to_owned(),
        template: template.to_owned(),
    };
    let turns = [
        ("system", "Be brief."),
        ("user", "{{ q }}"),
        (PREFILL, "Sure"),
    ]
    .map(turn);
    let messages = [
        ("system", "Be brief."),
        ("user", "an example"),
        ("assistant", "its answer"),
        ("user", "the question"),
        (PREFILL, "Sure"),
    ];
    let sample = sample("1", 0, &messages);
    let shown = exchange(&turns, &sample, None);
    assert_eq!(shown.request, "the question");
    let two = [
        turns[1].clone(),
        turn(("user", "{{ more }}")),
        turns[2].clone(),
    ];
    let shown = exchange(&two, &sample, None);
    assert_eq!(shown.request, "its answer\nthe question");
    // Without turns of the prompt's own, every message is the request.
    let shown = exchange(&turns[..1], &sample, None);
    assert_eq!(shown.request, "an example\nits answer\nthe question");
}

#[test]
fn verdicts_of_plugins_are_paired_by_id_and_index() {
    let given = |id: &str, sample_index, verdict| SampleVerdict {
        sample_id: id.to_owned(),
        sample_index,
        verdict,
        categories: vec!["S1".to_owned()],
        p_unsafe: Some(0.75),
        score: Some(0.5),
        output: format!("{id} {sample_index}"),
    };
    let samples = [
        sample("a", 0, &[]),
        sample("a", 1, &[]),
        sample("b", 0, &[]),
        sample("c", 0, &[]),
    ];
    let mut output = MetricOutput::new();
    output.verdicts = vec![
        given("c", 0, VerdictWord::Error),
        given("b", 0, VerdictWord::Unparsable),
        given("a", 1, VerdictWord::Unsafe),
        given("a", 0, VerdictWord::Safe),
    ];
    let verdicts = plugin_verdicts(output.clone(), &samples).expect("verdicts");
    let read: Vec<_> = verdicts
        .iter()
        .map(|v| (v.label, v.output.as_str()))
        .collect();
    let expected = [
        (VerdictLabel::Safe, "a 0"),
        (VerdictLabel::Unsafe, "a 1"),
        (VerdictLabel::Unparsable, "b 0"),
        (VerdictLabel::Error, "c 0"),
    ];
    assert_eq!(read, expected);
    assert_eq!(
        (verdicts[1].p_unsafe, verdicts[1].score),
        (Some(0.75), Some(0.5))
    );
    let error = plugin_verdicts(output.clone(), &samples[..3]).expect_err("a stray one");
    assert!(error.message.contains("`c`, which is no sample"), "{error}");
    output.verdicts.remove(0);
    let error = plugin_verdicts(output, &samples).expect_err("one is missing");
    assert!(
        error
            .message
            .contains("3 verdicts on 4 samples, and none on sample `c`"),
        "{error}"
    );
}
