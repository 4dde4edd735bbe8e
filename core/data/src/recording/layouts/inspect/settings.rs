//! What the head of a log says of how its samples were made and marked. The model is what differs on purpose.

use serde_json::Value;

use super::super::super::settings::Settings;

/// Settings of an evaluation that answers or marks depend on, under `eval.config`.
const LIMITS: [&str; 6] = [
    "message_limit",
    "token_limit",
    "time_limit",
    "working_limit",
    "cost_limit",
    "turn_limit",
];

pub(super) fn of(log: &Value) -> Settings {
    let mut settings = Settings::default();
    let (eval, plan) = (&log["eval"], &log["plan"]);
    for name in ["task", "task_version", "task_args"] {
        settings.say(name, &eval[name]);
    }
    settings.say("dataset", &eval["dataset"]["name"]);
    for name in LIMITS {
        settings.say(name, &eval["config"][name]);
    }
    // What a run was started with is part of what it was planned with.
    settings.say("generation", &eval["model_generate_config"]);
    settings.say("generation", &plan["config"]);
    for (role, model) in eval["model_roles"].as_object().into_iter().flatten() {
        settings.say(&format!("model of the role {role}"), &model["model"]);
    }
    for scorer in eval["scorers"].as_array().into_iter().flatten() {
        let name = scorer["name"].as_str().unwrap_or_default();
        settings.say("scorers", &scorer["name"]);
        settings.say(&format!("scorer {name}"), &scorer["options"]);
    }
    for step in plan["steps"].as_array().into_iter().flatten() {
        let name = step["solver"].as_str().unwrap_or_default();
        settings.say("solvers", &step["solver"]);
        settings.say(&format!("solver {name}"), &step["params"]);
    }
    settings
}
