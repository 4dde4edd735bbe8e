//! Modules that the settings of a fine-tune name: whether its base has them, told from the names of its weights.

use driftgauge_folder::adapter::{meant_by, saved_by};
use driftgauge_spec::Text;
use driftgauge_spec::spec::{FUSED_MODULES, LAYER_MODULES, Lora, TargetModules};
use indexmap::IndexMap;

use super::Resolver;
use super::scoring::root;
use crate::resolved::{ModelSource, ResolvedModel};

type Models = IndexMap<String, ResolvedModel>;

impl Resolver<'_> {
    /// Reports every module that a fine-tune names and that its base does not have.
    pub(super) fn targets(&mut self, models: &Models) {
        let spec = self.spec;
        for (id, model) in &spec.models {
            let Some(finetune) = &model.finetune else {
                continue;
            };
            let settings = spec.finetune.get(finetune.settings.get().as_str());
            let Some(lora) = settings.and_then(|settings| settings.lora.as_ref()) else {
                continue;
            };
            let root = models.get(id.get()).and_then(|model| root(models, model));
            if let Some(modules) = root.and_then(modules) {
                self.updated(&finetune.base, lora, &modules);
                self.saved(&finetune.base, lora, &modules);
                self.patterns(&finetune.base, lora, &modules);
            }
        }
    }

    fn updated(&mut self, base: &Text, lora: &Lora, modules: &[String]) {
        let TargetModules::Modules(names) = &lora.target_modules else {
            return;
        };
        let lacking = names.iter().find(|name| !has(modules, name.get()));
        if let Some(name) = lacking {
            let known: Vec<&str> = known(modules).collect();
            let help = format!("its modules are {}, or say `all-linear`", known.join(", "));
            self.problem(
                "unknown-module",
                name.span(),
                no_module(base, name),
                Some(help),
            );
        }
    }

    fn saved(&mut self, base: &Text, lora: &Lora, modules: &[String]) {
        let is_there = |name: &Text| modules.iter().any(|module| saved_by(name.get(), module));
        if let Some(name) = lora.modules_to_save.iter().find(|name| !is_there(name)) {
            let ends = known(modules).chain(["embed_tokens", "lm_head", "norm"]);
            let ends: Vec<&str> = ends.collect();
            let help = format!(
                "`modules_to_save` has the ends of names, such as {}",
                ends.join(", ")
            );
            self.problem(
                "unknown-module",
                name.span(),
                no_module(base, name),
                Some(help),
            );
        }
    }

    /// Ranks and alphas of their own, which modules that are trained are given by names and patterns. PEFT passes over a name that fits
    /// none of them; whoever wrote it meant one.
    fn patterns(&mut self, base: &Text, lora: &Lora, modules: &[String]) {
        let ranks = lora.rank_pattern.keys().map(|name| ("rank_pattern", name));
        let alphas = lora
            .alpha_pattern
            .keys()
            .map(|name| ("alpha_pattern", name));
        for (key, name) in ranks.chain(alphas) {
            match meant_by(key, name.get()) {
                Ok(means) => {
                    let meant: Vec<&String> =
                        modules.iter().filter(|module| means(module)).collect();
                    let why = match meant.first() {
                        None => no_module(base, name),
                        Some(module) if !meant.iter().any(|module| trained(lora, module)) => {
                            format!(
                                "`{name}` of `{key}` fits `{module}`, and no module that `target_modules` names"
                            )
                        }
                        Some(_) => continue,
                    };
                    let help = "names of trained modules, their ends, and patterns for both are given a number of their own";
                    self.problem("unknown-module", name.span(), why, Some(help.to_owned()));
                }
                Err(why) => {
                    self.problem("unknown-module", name.span(), why.reason, why.help);
                }
            }
        }
    }
}

/// Whether a module is given an update.
fn trained(lora: &Lora, module: &str) -> bool {
    let saved = lora.modules_to_save.iter();
    let whole = saved.into_iter().any(|name| saved_by(name.get(), module));
    let last = module.rsplit('.').next().unwrap_or(module);
    let targeted = match &lora.target_modules {
        TargetModules::Modules(names) => names.iter().any(|name| name.get() == last),
        _ => LAYER_MODULES
            .into_iter()
            .chain(FUSED_MODULES)
            .any(|name| name == last),
    };
    targeted && !whole
}

fn no_module(base: &Text, name: &Text) -> String {
    format!("`{base}`, which is trained with these settings, has no module `{name}`")
}

/// The names for modules of layers that a model has.
fn known(modules: &[String]) -> impl Iterator<Item = &'static str> {
    let known = LAYER_MODULES.into_iter().chain(FUSED_MODULES);
    known.filter(|name| has(modules, name))
}

/// Whether the last part of a module's name is `name`.
fn has(modules: &[String], name: &str) -> bool {
    let mut modules = modules.iter();
    modules.any(|module| module.rsplit('.').next() == Some(name))
}

/// Names of the modules of a model that is here or will be trained from nothing; an output head is one of all of them.
fn modules(model: &ResolvedModel) -> Option<Vec<String>> {
    let mut modules: Vec<String> = match &model.source {
        ModelSource::Folder {
            path, gguf: None, ..
        } => {
            // A folder that cannot be read was reported by itself.
            let weights = driftgauge_folder::inspect(path).ok()?;
            let names = weights.tensors.keys();
            let modules = names.filter_map(|weight| weight.strip_suffix(".weight"));
            modules.map(str::to_owned).collect()
        }
        ModelSource::Pretrain(training) => {
            let layers = training.architecture.as_ref()?.num_hidden_layers;
            let in_layers = (0..layers).flat_map(|layer| {
                FROM_NOTHING.map(|module| format!("model.layers.{layer}.{module}"))
            });
            let around = ["model.embed_tokens", "model.norm"].map(str::to_owned);
            in_layers.chain(around).collect()
        }
        _ => return None,
    };
    modules.push("lm_head".to_owned());
    Some(modules)
}

/// The modules of a layer of a model that was trained from nothing, which is a Llama.
const FROM_NOTHING: [&str; 9] = [
    "self_attn.q_proj",
    "self_attn.k_proj",
    "self_attn.v_proj",
    "self_attn.o_proj",
    "mlp.gate_proj",
    "mlp.up_proj",
    "mlp.down_proj",
    "input_layernorm",
    "post_attention_layernorm",
];
