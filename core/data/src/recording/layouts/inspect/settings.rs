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
    // One task has its package before its name, or not.
    let task = eval["task"].as_str().unwrap_or_default();
    let task = task.rsplit('/').next().unwrap_or_default();
    settings.say("task", &task.into());
    settings.say("task_version", &eval["task_version"]);
    for (name, value) in eval["task_args"].as_object().into_iter().flatten() {
        // Paths are those of a machine.
        if value
            .as_str()
            .is_none_or(|text| !text.contains(['/', '\\']))
        {
            settings.say(&format!("task_args.{name}"), value);
        }
    }
    settings.say("dataset", &eval["dataset"]["name"]);
    for name in LIMITS {
        settings.say(name, &eval["config"][name]);
    }
    // What a run was started with is part of what it was planned with.
    settings.say_generation(&eval["model_generate_config"]);
    settings.say_generation(&plan["config"]);
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
