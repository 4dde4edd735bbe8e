//! What must not change a training, and what it says while it runs.

mod common;

use std::sync::atomic::AtomicBool;

use driftgauge_lm::train::{
    Method, Order, StepRecord, TrainConfig, TrainEvent, TrainingSettings, finetune,
};
use driftgauge_lm::{ChatTemplate, Compute, Error, LoraConfig, Scorer, TargetModules, Tokenizer};

use common::{bytes, config, golden, on_cpu, rows, settings, train, train_whole};

const ADAPTER: &str = "adapter_model.safetensors";

fn lora(dropout: f64) -> Method {
    Method::Lora(LoraConfig {
        rank: 4,
        alpha: 8.0,
        dropout,
        ..LoraConfig::default()
    })
}

/// Losses and gradient norms agree to `tolerance`, relative to their size.
fn assert_close(a: &[StepRecord], b: &[StepRecord], tolerance: f64) {
    assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(b) {
        assert_eq!(a.target_tokens, b.target_tokens);
        for (x, y) in [(a.loss, b.loss), (a.grad_norm, b.grad_norm)] {
            assert!(
                (x - y).abs() <= tolerance * x.abs(),
                "step {}: {x} against {y}",
                a.step
            );
        }
    }
}

#[test]
fn accumulation_does_not_matter() {
    let data = rows("llama", 16);
    let shaped = |batch, accumulation| {
        let config = on_cpu(TrainingSettings {
            per_device_batch_size: batch,
            gradient_accumulation_steps: accumulation,
            ..settings()
        });
        train_whole("llama", &data, &config).1.steps
    };
    let whole = shaped(4, 1);
    // Rows differ in their number of supervised tokens, so a mean of means would show.
    assert_close(&whole, &shaped(2, 2), 1e-4);
    assert_close(&whole, &shaped(1, 4), 1e-4);
}

/// Batches of so many tokens are computed in parts, side by side.
#[test]
fn parts_of_a_batch_and_the_threads_they_have_do_not_matter() {
    let mut data = rows("llama", 16);
    data.examples = std::iter::repeat_n(data.examples, 6).flatten().collect();
    let shaped = |batch, accumulation, dropout, threads| {
        let config = on_cpu(TrainingSettings {
            method: lora(dropout),
            per_device_batch_size: batch,
            gradient_accumulation_steps: accumulation,
            ..settings()
        });
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let pool = pool.expect("threads");
        pool.install(|| train_whole("llama", &data, &config))
    };
    let ((_, parts), (_, whole)) = (shaped(96, 1, 0.0, 2), shaped(16, 6, 0.0, 2));
    assert!(parts.steps[0].tokens > 2048, "several parts");
    assert!(whole.steps[0].tokens < 6 * 1024, "one part of each");
    assert_close(&parts.steps, &whole.steps, 1e-4);
    let (one, _) = shaped(96, 1, 0.1, 1);
    let (several, _) = shaped(96, 1, 0.1, 3);
    assert!(bytes(one.path(), ADAPTER) == bytes(several.path(), ADAPTER));
}

#[test]
fn gradient_checkpointing_changes_no_byte() {
    let data = rows("qwen3", 8);
    for (method, file) in [(lora(0.1), ADAPTER), (Method::Full, "model.safetensors")] {
        let with = |gradient_checkpointing| {
            let config = on_cpu(TrainingSettings {
                method: method.clone(),
                gradient_checkpointing,
                learning_rate: 1e-3,
                ..settings()
            });
            train_whole("qwen3", &data, &config)
        };
        let ((kept, on), (again, off)) = (with(true), with(false));
        assert_close(&on.steps, &off.steps, 1e-6);
        assert!(
            bytes(kept.path(), file) == bytes(again.path(), file),
            "{method:?}"
        );
    }
}

#[test]
fn packed_rows_do_not_see_each_other() {
    let data = rows("llama3-rope", 8);
    let with = |packing, batch| {
        let config = on_cpu(TrainingSettings {
            packing,
            per_device_batch_size: batch,
            max_steps: Some(3),
            ..settings()
        });
        train_whole("llama3-rope", &data, &config).1.steps
    };
    // Eight rows of about 30 tokens fill one sequence of at most 512.
    let (packed, apart) = (with(true, 1), with(false, 8));
    assert_close(&packed, &apart, 1e-4);
    assert_eq!(packed[0].tokens, apart[0].tokens);
}

#[test]
fn a_stopped_training_goes_on_to_the_same_bytes() {
    let mut data = rows("qwen2", 11);
    data.eval = data.examples.split_off(8);
    let config = TrainConfig {
        save_steps: Some(2),
        ..on_cpu(TrainingSettings {
            method: lora(0.1),
            order: Order::Shuffled,
            max_steps: Some(9),
            eval_steps: Some(3),
            ..settings()
        })
    };
    let (straight, whole) = train_whole("qwen2", &data, &config);
    for stops in [vec![1], vec![4], vec![2, 3, 8]] {
        let out = tempfile::tempdir().expect("a folder");
        for stop in stops {
            let stopped = train("qwen2", &data, &config, out.path(), Some(stop)).result;
            assert!(
                matches!(stopped, Err(Error::Cancelled { step }) if step == stop),
                "{stopped:?}"
            );
            assert!(!out.path().join(ADAPTER).exists(), "a half adapter");
        }
        let last = train("qwen2", &data, &config, out.path(), None);
        assert_eq!(last.result.expect("a summary").steps, 9);
        assert!(last.steps.len() < 9, "it began anew");
        for file in [ADAPTER, "adapter_config.json", "train_log.jsonl"] {
            let same = bytes(out.path(), file) == bytes(straight.path(), file);
            assert!(same, "{file} differs");
        }
        let timing = String::from_utf8(bytes(out.path(), "train_timing.jsonl")).expect("UTF-8");
        assert_eq!(timing.lines().count(), 9, "every step has its time");
        assert!(!out.path().join("checkpoints").exists());
    }
    let measured: Vec<u64> = whole
        .steps
        .iter()
        .filter(|step| step.eval_loss.is_some())
        .map(|step| step.step)
        .collect();
    assert_eq!(measured, [3, 6, 9]);
}

#[test]
fn a_checkpoint_of_another_training_is_refused() {
    let data = rows("llama", 8);
    let out = tempfile::tempdir().expect("a folder");
    let stopped = train("llama", &data, &config(), out.path(), Some(2)).result;
    assert!(matches!(stopped, Err(Error::Cancelled { .. })));
    let other = on_cpu(TrainingSettings {
        learning_rate: 1e-3,
        ..settings()
    });
    let error = train("llama", &data, &other, out.path(), None)
        .result
        .expect_err("other settings");
    assert!(
        error.to_string().contains("the settings changed"),
        "{error}"
    );
    let error = train("llama", &rows("llama", 7), &config(), out.path(), None)
        .result
        .expect_err("other data");
    assert!(error.to_string().contains("the data changed"), "{error}");
}

#[test]
fn a_diverging_training_stops_with_step_and_loss_and_keeps_its_checkpoint() {
    let config = TrainConfig {
        save_steps: Some(1),
        ..on_cpu(TrainingSettings {
            learning_rate: 50.0,
            max_grad_norm: 0.0,
            max_steps: Some(50),
            ..settings()
        })
    };
    let out = tempfile::tempdir().expect("a folder");
    let data = rows("llama3-rope", 8);
    let trained = train("llama3-rope", &data, &config, out.path(), None);
    let error = trained.result.expect_err("it diverges");
    let Error::Diverged {
        step,
        loss,
        checkpoint: Some(checkpoint),
        ..
    } = &error
    else {
        panic!("{error}")
    };
    assert!(*step > 1 && *step <= 12, "{error}");
    assert!(checkpoint.join("parameters.safetensors").is_file());
    let (step, loss) = (*step, *loss);
    let text = driftgauge_problem::Problem::from(error).to_string();
    for part in [
        format!("diverged at step {step}"),
        format!("loss {loss}"),
        "learning_rate".to_owned(),
        "the last checkpoint is".to_owned(),
    ] {
        assert!(text.contains(&part), "no `{part}` in {text}");
    }
    assert!(!out.path().join(ADAPTER).exists());
}

#[test]
fn a_training_whose_gradient_vanished_is_stopped() {
    let config = on_cpu(TrainingSettings {
        learning_rate: 1e3,
        max_grad_norm: 0.0,
        max_steps: Some(20),
        ..settings()
    });
    let out = tempfile::tempdir().expect("a folder");
    let trained = train("llama", &rows("llama", 8), &config, out.path(), None);
    let error = trained.result.expect_err("it learns nothing");
    let Error::Diverged {
        loss, grad_norm, ..
    } = &error
    else {
        panic!("{error}")
    };
    // The loss alone says nothing: it is that of blind guessing, and was not far from it before.
    assert!(*grad_norm == 0.0 && *loss < 10.0, "{error}");
    assert!(!out.path().join(ADAPTER).exists());
}

#[test]
fn a_base_whose_files_change_meanwhile_is_named_and_nothing_is_kept() {
    let base = tempfile::tempdir().expect("a folder");
    for entry in std::fs::read_dir(golden("llama"))
        .expect("a folder")
        .flatten()
    {
        if entry.path().is_file() {
            std::fs::copy(entry.path(), base.path().join(entry.file_name())).expect("a copy");
        }
    }
    let weights = base.path().join("model.safetensors");
    let out = tempfile::tempdir().expect("a folder");
    let config = TrainConfig {
        save_steps: Some(1),
        ..config()
    };
    let mut change = |event| {
        if let TrainEvent::Saved { step: 2 } = event {
            let mut bytes = std::fs::read(&weights).expect("weights");
            *bytes.last_mut().expect("bytes") ^= 1;
            std::fs::write(&weights, bytes).expect("other weights");
        }
    };
    let never = AtomicBool::new(false);
    let data = rows("llama", 8);
    let error = finetune(base.path(), &data, &config, out.path(), &mut change, &never)
        .expect_err("another base");
    let said = driftgauge_problem::Problem::from(error).to_string();
    for part in [
        "self-check failed",
        "the files of the base model",
        "run again",
    ] {
        assert!(said.contains(part), "no `{part}` in {said}");
    }
    assert!(!out.path().join(ADAPTER).exists());
    assert!(!out.path().join("checkpoints").exists());
}

#[test]
fn held_out_loss_is_what_a_scorer_says() {
    let mut data = rows("llama", 9);
    data.eval = data.examples.split_off(4);
    let (out, trained) = train_whole("llama", &data, &config());
    let base = golden("llama");
    let scorer =
        Scorer::load_with_adapter(&base, out.path(), &Compute::cpu()).expect("the fine-tune");
    let template = ChatTemplate::from_folder(&base).expect("a template");
    let tokenizer = Tokenizer::from_folder(&base).expect("a tokenizer");
    let (mut sum, mut count) = (0.0, 0);
    for example in &data.eval {
        let ids = |messages: &[_], prompt| {
            let text = template.render(messages, prompt).expect("text");
            tokenizer.encode(&text, false).expect("token ids")
        };
        let whole = ids(&example.messages, false);
        let prompt = ids(&example.messages[..1], true);
        let answer = &whole[prompt.len()..];
        sum -= scorer
            .token_logprobs(&prompt, answer)
            .expect("scores")
            .iter()
            .sum::<f64>();
        count += answer.len();
    }
    let measured = trained
        .steps
        .last()
        .and_then(|s| s.eval_loss)
        .expect("a loss");
    let expected = sum / count as f64;
    assert!(
        (measured - expected).abs() < 1e-4,
        "{measured} against {expected}"
    );
}

#[test]
fn rows_that_are_cut_are_counted_and_named() {
    let data = rows("llama", 8);
    let config = on_cpu(TrainingSettings {
        max_seq_length: Some(32),
        ..settings()
    });
    let (_, trained) = train_whole("llama", &data, &config);
    let warning = trained.events.iter().find_map(|event| match event {
        TrainEvent::Warning { message } => Some(message.as_str()),
        _ => None,
    });
    let warning = warning.expect("a warning");
    let cut = trained.result.expect("a summary").truncated_rows;
    assert!(cut > 0 && cut < 8, "{cut}");
    assert!(
        warning.starts_with(&format!("{cut} of 8 rows")) && warning.contains("`row-0`"),
        "{warning}"
    );
}

#[test]
fn a_preview_shows_what_is_learnt() {
    let data = rows("mistral", 4);
    let (_, trained) = train_whole("mistral", &data, &config());
    let preview = trained.events.iter().find_map(|event| match event {
        TrainEvent::Preview { id, pieces } => Some((id.as_str(), pieces)),
        _ => None,
    });
    let (id, pieces) = preview.expect("a preview");
    assert_eq!(id, "row-0");
    let learnt: String = pieces
        .iter()
        .filter(|piece| piece.supervised)
        .map(|piece| piece.text.as_str())
        .collect();
    assert_eq!(
        learnt,
        format!(" {}</s>", data.examples[0].messages[1].content)
    );
    assert!(pieces[0].text.starts_with("<s>[INST] ") && !pieces[0].supervised);
}

#[test]
fn adapters_sit_on_the_modules_asked_for() {
    let config = on_cpu(TrainingSettings {
        method: Method::Lora(LoraConfig {
            rank: 2,
            alpha: 4.0,
            target_modules: TargetModules::List(vec!["up_proj".into(), "k_proj".into()]),
            rslora: true,
            ..LoraConfig::default()
        }),
        max_steps: Some(1),
        ..settings()
    });
    let (out, _) = train_whole("qwen2", &rows("qwen2", 2), &config);
    let tensors =
        candle_core::safetensors::load(out.path().join(ADAPTER), &candle_core::Device::Cpu)
            .expect("tensors");
    assert_eq!(
        tensors.len(),
        3 * 2 * 2,
        "three layers, two modules, two factors"
    );
    let name = "base_model.model.model.layers.2.self_attn.k_proj.lora_A.weight";
    assert_eq!(tensors[name].dims(), [2, 64]);
    let settings: serde_json::Value =
        serde_json::from_slice(&bytes(out.path(), "adapter_config.json")).expect("JSON");
    assert_eq!(settings["use_rslora"], true);
    assert_eq!(
        settings["target_modules"],
        serde_json::json!(["k_proj", "up_proj"])
    );
}

#[test]
fn another_chat_template_is_another_training() {
    let data = rows("llama", 4);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("t.jinja");
    std::fs::write(
        &file,
        "{% for m in messages %}{{ m.role }}: {{ m.content }}{{ eos_token }}{% endfor %}\
         {% if add_generation_prompt %}assistant: {% endif %}",
    )
    .expect("a file");
    let other = TrainConfig {
        chat_template: Some(file),
        ..config()
    };
    let (_, own) = train_whole("llama", &data, &config());
    let (_, given) = train_whole("llama", &data, &other);
    assert_ne!(own.steps[0].tokens, given.steps[0].tokens);
}
