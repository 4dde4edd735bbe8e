//! Which files hold a model's weights, and what is in them.
//!
//! The choice is that of transformers 5: `model.safetensors`, else the shards that `model.safetensors.index.json` names. A
//! folder without either is taken when it holds one whole set of shards (`x-00001-of-00003.safetensors`), or one safetensors
//! file and no weights of another kind. Everything else is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::error::{Error, Refusal, Result, optional_json};
use crate::header::{check_types, tensors_of};
use crate::positions;

pub use crate::header::Slot;

/// The file of a model whose weights are in one.
pub const WHOLE: &str = "model.safetensors";
/// The file that names the shards of a model whose weights are in several.
pub const INDEX: &str = "model.safetensors.index.json";

/// The file of an adapter's settings in PEFT's layout.
pub(crate) const ADAPTER_CONFIG: &str = "adapter_config.json";

/// The set of weight files that a list of names stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WeightSet {
    /// These files, in the order of their names.
    Files(Vec<String>),
    /// The files that [`INDEX`] names.
    Indexed,
}

/// Chooses one set of weights by the names of a folder's or repository's files.
///
/// # Errors
/// Why there is none, with the next step.
pub fn choose(names: &[String]) -> std::result::Result<WeightSet, Refusal> {
    let has = |name: &str| names.iter().any(|known| known == name);
    if has(WHOLE) {
        return Ok(WeightSet::Files(vec![WHOLE.to_owned()]));
    }
    if has(INDEX) {
        return Ok(WeightSet::Indexed);
    }
    let mut files: Vec<String> = names
        .iter()
        .filter(|n| n.ends_with(".safetensors") && !n.starts_with("adapter") && !n.contains('/'))
        .cloned()
        .collect();
    files.sort();
    let shards: Vec<(&String, Shard<'_>)> =
        files.iter().filter_map(|n| Some((n, shard(n)?))).collect();
    let pickle = names.iter().find(|n| is_pickle(n));
    match (shards.as_slice(), files.len(), pickle) {
        ([(_, first), rest @ ..], ..) => {
            if let Some((name, _)) = rest
                .iter()
                .find(|(_, s)| (s.stem, s.of) != (first.stem, first.of))
            {
                return Err(Refusal::new(
                    format!(
                        "two sets of shards lie side by side (`{}` and `{name}`) and no `{INDEX}` says which one counts",
                        shards[0].0
                    ),
                    "keep one set",
                ));
            }
            let numbers: BTreeSet<u64> = shards.iter().map(|(_, s)| s.number).collect();
            match (1..=first.of).find(|n| !numbers.contains(n)) {
                Some(missing) => Err(Refusal::new(
                    format!(
                        "shard {missing} of {} is missing, of the set that `{}` belongs to",
                        first.of, shards[0].0
                    ),
                    "finish the download",
                )),
                None => Ok(WeightSet::Files(
                    shards.iter().map(|(name, _)| (*name).clone()).collect(),
                )),
            }
        }
        ([], _, Some(pickle)) => Err(Refusal::new(
            "no weights in a form that is read",
            format!(
                "`{pickle}` is a pickle, which can run code; load the model with \
             transformers and save it again with `save_pretrained(FOLDER)`, which writes `{WHOLE}`"
            ),
        )),
        ([], 1, None) => Ok(WeightSet::Files(files)),
        ([], 0, None) => Err(Refusal::new(
            "no safetensors weights",
            format!(
                "a model folder has `config.json`, `tokenizer.json` and `{WHOLE}` or its shards"
            ),
        )),
        ([], _, None) => Err(Refusal::new(
            format!(
                "several safetensors files ({} and {} more) and no `{WHOLE}` or `{INDEX}` that says which belong together",
                files[0],
                files.len() - 1
            ),
            "keep one set of weights in the folder",
        )),
    }
}

/// `model-00002-of-00005.safetensors` in parts.
struct Shard<'a> {
    stem: &'a str,
    number: u64,
    of: u64,
}

fn shard(name: &str) -> Option<Shard<'_>> {
    let name = name.strip_suffix(".safetensors")?;
    let (head, of) = name.rsplit_once("-of-")?;
    let (stem, number) = head.rsplit_once('-')?;
    let digits = |s: &str| {
        s.bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| s.parse().ok())?
    };
    Some(Shard {
        stem,
        number: digits(number)?,
        of: digits(of).filter(|&of| of > 0)?,
    })
}

/// Weights as torch pickles them. Other `.bin` files lie in folders too: a trainer's settings, an optimiser's state.
fn is_pickle(name: &str) -> bool {
    let known = ["pytorch_model", "consolidated", "model", "adapter_model"];
    let ending = [".bin", ".pth", ".pt"].iter().any(|e| name.ends_with(e));
    ending && known.iter().any(|start| name.starts_with(start))
}

/// The weight files of a model folder, in the order of their names.
///
/// # Errors
/// When there is no set of them that can be taken in one way only.
pub fn weight_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let names: Vec<String> = std::fs::read_dir(folder)
        .map_err(Error::io(folder))?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    let config = optional_json(&folder.join("config.json"))?;
    let chosen = choose(&names).map_err(|why| Error::content(folder, why))?;
    if let Some(named) = config["transformers_weights"].as_str() {
        let agrees = match &chosen {
            WeightSet::Files(files) => files.len() == 1 && files[0] == named,
            WeightSet::Indexed => named == INDEX,
        };
        if !agrees {
            return Err(Error::content(
                &folder.join("config.json"),
                Refusal::new(
                    format!(
                        "`transformers_weights: {named}` names other weights than the usual ones"
                    ),
                    format!(
                        "call the file `{WHOLE}`, and \
                     take the key out"
                    ),
                ),
            ));
        }
    }
    match chosen {
        WeightSet::Files(files) => Ok(files.iter().map(|name| folder.join(name)).collect()),
        WeightSet::Indexed => {
            let index = folder.join(INDEX);
            let files: Vec<PathBuf> = files_of_index(&read_index(&index)?, &index)?
                .into_iter()
                .map(|name| folder.join(name))
                .collect();
            match files.iter().find(|file| !file.exists()) {
                Some(missing) => Err(Error::content(
                    &index,
                    Refusal::new(
                        format!("names the shard `{}`, which is missing", missing.display()),
                        "finish the download",
                    ),
                )),
                None => Ok(files),
            }
        }
    }
}

fn read_index(index: &Path) -> Result<Value> {
    let bytes = std::fs::read(index).map_err(Error::io(index))?;
    serde_json::from_slice(&bytes)
        .map_err(|e| Error::content(index, format!("is no index of weights: {e}")))
}

/// Names of the shards that the content of an index names.
///
/// # Errors
/// When it names none, or one outside the folder.
pub fn files_of_index(content: &Value, index: &Path) -> Result<BTreeSet<String>> {
    let map = content["weight_map"]
        .as_object()
        .ok_or_else(|| Error::content(index, "is no index of weights: `weight_map` is missing"))?;
    let names: BTreeSet<String> = map
        .values()
        .filter_map(|name| name.as_str().map(str::to_owned))
        .collect();
    if names.is_empty() {
        return Err(Error::content(index, "`weight_map` names no shard"));
    }
    // A file elsewhere would escape the folder's digest.
    match names.iter().find(|name| name.contains(['/', '\\'])) {
        Some(outside) => Err(Error::content(
            index,
            format!("shard `{outside}` lies outside the folder"),
        )),
        None => Ok(names),
    }
}

/// The tensors of a model folder.
#[derive(Debug, Default)]
pub struct Weights {
    /// The files, in the order of their names.
    pub files: Vec<PathBuf>,
    /// Each tensor by name, with the position of its file.
    pub tensors: BTreeMap<String, (usize, Slot)>,
}

impl Weights {
    /// How many numbers the weights are.
    #[must_use]
    pub fn parameters(&self) -> u64 {
        let size = |(_, slot): &(usize, Slot)| slot.shape.iter().product::<u64>();
        self.tensors.values().map(size).sum()
    }

    /// The shape of a tensor.
    #[must_use]
    pub fn shape(&self, name: &str) -> Option<&[u64]> {
        self.tensors
            .get(name)
            .map(|(_, slot)| slot.shape.as_slice())
    }

    /// Shapes of all tensors by name.
    #[must_use]
    pub fn shapes(&self) -> BTreeMap<String, Vec<u64>> {
        let of = |(name, (_, slot)): (&String, &(usize, Slot))| (name.clone(), slot.shape.clone());
        self.tensors.iter().map(of).collect()
    }

    /// Name of the input embedding.
    #[must_use]
    pub fn embedding(&self) -> Option<&str> {
        let embedding =
            |name: &&String| name.ends_with("embed_tokens.weight") || name.ends_with("wte.weight");
        self.tensors.keys().find(embedding).map(String::as_str)
    }

    /// How many tokens the input embedding has a row for.
    #[must_use]
    pub fn embedding_rows(&self) -> Option<u64> {
        self.shape(self.embedding()?)?.first().copied()
    }

    /// Whether two tensors hold the same bytes.
    fn equal(&self, left: &str, right: &str) -> Result<bool> {
        let (Some((a, x)), Some((b, y))) = (self.tensors.get(left), self.tensors.get(right)) else {
            return Ok(false);
        };
        if (&x.dtype, &x.shape) != (&y.dtype, &y.shape) {
            return Ok(false);
        }
        let open = |file: usize, slot: &Slot| {
            let path = &self.files[file];
            File::open(path)
                .and_then(|mut file| file.seek(SeekFrom::Start(slot.bytes.0)).map(|_| file))
                .map_err(Error::io(path))
        };
        let (mut left, mut right) = (open(*a, x)?, open(*b, y)?);
        let mut rest = x.bytes.1 - x.bytes.0;
        let (mut one, mut other) = (vec![0; 1 << 20], vec![0; 1 << 20]);
        while rest > 0 {
            let n = rest.min(1 << 20) as usize;
            left.read_exact(&mut one[..n])
                .map_err(Error::io(&self.files[*a]))?;
            right
                .read_exact(&mut other[..n])
                .map_err(Error::io(&self.files[*b]))?;
            if one[..n] != other[..n] {
                return Ok(false);
            }
            rest -= n as u64;
        }
        Ok(true)
    }
}

/// Finds the weights of a model folder and holds them against its settings, by their headers.
///
/// # Errors
/// When there is no set of files that can be taken in one way only; when a file is truncated or lies about its contents; when the
/// context is longer than any; when the index is stale; when weights that are not said to be quantised are stored in other types than weights are; when the
/// output head is missing, or is stored although `config.json` says that it is the embedding; when the embedding has another number
/// of rows than the vocabulary.
pub fn inspect(folder: &Path) -> Result<Weights> {
    check_no_adapter(folder)?;
    let path = folder.join("config.json");
    let config = optional_json(&path)?;
    check_positions(&path, &config)?;
    let mut weights = Weights {
        files: weight_files(folder)?,
        ..Weights::default()
    };
    for (number, file) in weights.files.iter().enumerate() {
        let tensors = tensors_of(file)?;
        // Quantised weights are of the types of their method, which engines know.
        if config["quantization_config"].is_null() {
            check_types(file, &tensors)?;
        }
        for (name, slot) in tensors {
            if weights.tensors.contains_key(&name) {
                return Err(Error::content(
                    file,
                    Refusal::new(
                        format!("tensor `{name}` is also in an earlier file of the same model"),
                        "keep one set of weights in the \
                         folder",
                    ),
                ));
            }
            weights.tensors.insert(name, (number, slot));
        }
    }
    check_index(folder, &weights)?;
    check_head(&path, &config, &weights)?;
    Ok(weights)
}

fn check_positions(path: &Path, config: &Value) -> Result<()> {
    const KEY: &str = "max_position_embeddings";
    match config[KEY].as_f64() {
        Some(tokens) => positions::check(KEY, tokens).map_err(|why| Error::content(path, why)),
        None => Ok(()),
    }
}

/// transformers, where PEFT is installed, takes a folder with an adapter's settings for that adapter, and the weights in it for none.
fn check_no_adapter(folder: &Path) -> Result<()> {
    let settings = folder.join(ADAPTER_CONFIG);
    match settings.exists() {
        true => Err(Error::content(
            &settings,
            Refusal::new(
                "lies beside a whole model: with PEFT installed, transformers loads the adapter on its own base and not the weights here",
                "keep the adapter in a folder of its own (source `adapter`), or remove the file if it is merged already",
            ),
        )),
        false => Ok(()),
    }
}

/// Every tensor that the index names is in one of its shards. What transformers does not look at either: which of them.
fn check_index(folder: &Path, weights: &Weights) -> Result<()> {
    let index = folder.join(INDEX);
    if folder.join(WHOLE).exists() || !index.exists() {
        return Ok(());
    }
    let content = read_index(&index)?;
    let named = content["weight_map"].as_object();
    match named.and_then(|map| map.keys().find(|name| !weights.tensors.contains_key(*name))) {
        Some(lost) => Err(Error::content(
            &index,
            Refusal::new(
                format!("is stale: tensor `{lost}` is in none of the shards that it names"),
                "download the folder again, or save the \
                 model again with `save_pretrained(FOLDER)`",
            ),
        )),
        None => Ok(()),
    }
}

/// Whether a model's output head is its embedding, when `config.json` does not say: what the class of transformers 5 has as
/// its default. `None` for classes that are not known here.
fn tied_by_default(model_type: &str) -> Option<bool> {
    const TIED: [&str; 5] = ["gemma", "gemma2", "gemma3_text", "smollm3", "starcoder2"];
    const APART: [&str; 18] = [
        "deepseek_v2",
        "deepseek_v3",
        "glm",
        "glm4",
        "glm4_moe",
        "glm4_moe_lite",
        "gpt_oss",
        "granitemoehybrid",
        "llama",
        "mistral",
        "mixtral",
        "phi",
        "phi3",
        "phimoe",
        "qwen2",
        "qwen3",
        "qwen3_moe",
        "qwen3_next",
    ];
    match (TIED.contains(&model_type), APART.contains(&model_type)) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        _ => None,
    }
}

const HEAD: &str = "lm_head.weight";

/// Holds the output head and the embedding against `tie_word_embeddings` and `vocab_size`.
fn check_head(path: &Path, config: &Value, weights: &Weights) -> Result<()> {
    let refuse = |refusal: Refusal| Err(Error::content(path, refusal));
    let Some(embedding) = weights.embedding() else {
        return Ok(());
    };
    let model_type = config["model_type"].as_str().unwrap_or_default();
    let tied = config["tie_word_embeddings"]
        .as_bool()
        .or_else(|| tied_by_default(model_type));
    let stored = weights.tensors.contains_key(HEAD);
    // Quantised, it has other names.
    let has_head = weights
        .tensors
        .keys()
        .any(|name| name.starts_with("lm_head."));
    match tied {
        Some(true) if stored && !weights.equal(embedding, HEAD)? => {
            return refuse(Refusal::new(
                format!(
                    "`tie_word_embeddings` says that the output head is the embedding, but the weights hold a `{HEAD}` that differs \
                 from `{embedding}`"
                ),
                "transformers 5 takes the stored head, older versions the embedding; say \
                 `\"tie_word_embeddings\": false` to keep the head, or remove the tensor",
            ));
        }
        Some(false) if !has_head => {
            return refuse(Refusal::new(
                format!(
                    "`tie_word_embeddings` says that the model has an output head of its own, but no file holds `{HEAD}`"
                ),
                "say \
                 `\"tie_word_embeddings\": true` if the embedding is meant, or find the missing file",
            ));
        }
        _ => {}
    }
    let Some(vocabulary) = config["vocab_size"].as_u64() else {
        return Ok(());
    };
    for name in [embedding, HEAD] {
        if let Some(rows) = weights.shape(name).and_then(|shape| shape.first())
            && *rows != vocabulary
        {
            return refuse(Refusal::new(
                format!("`vocab_size` is {vocabulary}, but `{name}` has {rows} rows"),
                "they have to be equal, as \
                 `resize_token_embeddings` leaves them",
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
