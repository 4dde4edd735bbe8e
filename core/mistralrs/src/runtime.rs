//! Starts mistral.rs and asks it for one answer.

use driftgauge_problem::{Context as _, Problem};
use std::path::Path;
use std::sync::Arc;

use candle_core::Device;
use mistralrs::core::{
    DeviceMapSetting, GGUFLoaderBuilder, GGUFSpecificConfig, Loader, MistralRsBuilder,
    NormalLoaderBuilder, NormalSpecificConfig, Pipeline,
};
use mistralrs::{
    CustomLogitsProcessor, DefaultSchedulerMethod, IsqType, MistralRs, ModelDType, NormalRequest,
    Request, RequestMessage, Response, SamplingParams, SchedulerConfig, StopTokens, TokenSource,
};
use tokio::sync::mpsc::{Receiver, channel};

use crate::recorder::Ending;

/// What is loaded.
pub(crate) enum Source<'a> {
    /// A prepared folder of safetensors weights.
    Folder(&'a Path),
    /// A GGUF file in a prepared folder.
    Gguf {
        folder: &'a Path,
        file: &'a str,
        /// Whether the folder has a tokenizer; else the one in the file is used.
        tokenizer: bool,
    },
}

/// A running mistral.rs with one model.
pub(crate) struct Runtime {
    engine: Arc<MistralRs>,
    /// How many tokens fit.
    pub(crate) context: usize,
    next_id: usize,
}

impl Runtime {
    /// Loads a model in a thread of its own: mistral.rs 0.8.1 leaves LoRA and quantisation settings behind in
    /// thread-locals, and panics on some broken files.
    ///
    /// # Errors
    /// When the model cannot be loaded, with mistral.rs' reason.
    pub(crate) fn start(
        source: &Source,
        dtype: ModelDType,
        device: &Device,
        quantization: Option<IsqType>,
    ) -> Result<Self, Problem> {
        let loader = loader_of(source)?;
        let device = device.clone();
        let thread = std::thread::Builder::new()
            .name("driftgauge-load".to_owned())
            .spawn(move || build(&*loader, dtype, &device, quantization))
            .map_err(|e| format!("cannot start a thread: {e}"))?;
        match thread.join() {
            Ok(result) => result,
            Err(panic) => {
                Err(format!("mistral.rs failed while loading: {}", message_of(&*panic)).into())
            }
        }
    }

    /// Sends a prompt; the answer is recorded by the processor.
    ///
    /// # Errors
    /// When the engine has stopped.
    pub(crate) fn send(
        &mut self,
        prompt: Vec<u32>,
        max_tokens: usize,
        ending: Ending,
        processor: Arc<dyn CustomLogitsProcessor>,
    ) -> Result<Receiver<Response>, Problem> {
        let (response, receiver) = channel(8);
        let sampling = SamplingParams {
            // The argmax of the logits that the processor returns.
            temperature: Some(0.0),
            // The end of a one-token answer is told one step late; see `recorder`.
            max_len: Some(max_tokens.max(2)),
            stop_toks: match ending {
                Ending::Token(id) => Some(StopTokens::Ids(vec![id])),
                Ending::Failure => None,
            },
            ..SamplingParams::neutral()
        };
        self.next_id += 1;
        let mut request = NormalRequest::new_simple(
            RequestMessage::CompletionTokens(prompt),
            sampling,
            response,
            self.next_id,
            None,
            None,
        );
        request.logits_processors = Some(vec![processor]);
        let sender = self.engine.get_sender(None).map_err(|e| e.to_string())?;
        sender
            .blocking_send(Request::Normal(Box::new(request)))
            .map_err(|_| stopped())?;
        Ok(receiver)
    }
}

/// Waits until mistral.rs is done with a request.
///
/// # Errors
/// When the engine stopped or refused the request; not when the processor ended it.
pub(crate) fn wait(receiver: &mut Receiver<Response>) -> Result<(), Refusal> {
    match receiver.blocking_recv() {
        Some(Response::CompletionDone(_)) => Ok(()),
        // The processor fails a step to end an answer; what it recorded says why.
        Some(Response::InternalError(e) | Response::ValidationError(e)) => {
            Err(Refusal::Request(without_backtrace(&e.to_string())))
        }
        Some(Response::CompletionModelError(e, _) | Response::ModelError(e, _)) => {
            Err(Refusal::Request(without_backtrace(&e)))
        }
        Some(_) => Err(Refusal::Request(
            "mistral.rs sent a response of another kind".to_owned(),
        )),
        None => Err(Refusal::Stopped(stopped())),
    }
}

/// What went wrong, without where: candle writes a backtrace behind its errors when the environment asks for them.
fn without_backtrace(error: &str) -> String {
    let end = error.find("\n   0: ").unwrap_or(error.len());
    error[..end].trim_end().to_owned()
}

/// Why mistral.rs did not answer.
pub(crate) enum Refusal {
    /// This request failed.
    Request(String),
    /// The engine is gone.
    Stopped(String),
}

fn stopped() -> String {
    "mistral.rs' engine thread stopped; its last words are in the log of the worker".to_owned()
}

fn loader_of(source: &Source) -> Result<Box<dyn Loader>, Problem> {
    match source {
        Source::Folder(folder) => NormalLoaderBuilder::new(
            NormalSpecificConfig::default(),
            None,
            None,
            Some(folder.to_string_lossy().into_owned()),
            false,
            None,
        )
        .build(None)
        .map_err(|e| Problem::failed(format!("{e:#}"))),
        Source::Gguf {
            folder,
            file,
            tokenizer,
        } => {
            let folder = folder.to_string_lossy().into_owned();
            Ok(GGUFLoaderBuilder::new(
                None,
                tokenizer.then(|| folder.clone()),
                folder,
                vec![(*file).to_owned()],
                GGUFSpecificConfig::default(),
                false,
                None,
            )
            .build())
        }
    }
}

fn build(
    loader: &dyn Loader,
    dtype: ModelDType,
    device: &Device,
    quantization: Option<IsqType>,
) -> Result<Runtime, Problem> {
    let map = match device {
        Device::Cpu => DeviceMapSetting::dummy(),
        _ => DeviceMapSetting::Auto(mistralrs::AutoDeviceMapParams::default_text()),
    };
    let pipeline = loader
        .load_model_from_hf(
            None,
            TokenSource::None,
            &dtype,
            device,
            true,
            map,
            quantization,
            None,
        )
        .map_err(|e| format!("{e:#}"))?;
    let engine = engine_of(pipeline)?;
    let context = engine
        .max_sequence_length(None)
        .map_err(|e| e.to_string())?
        .unwrap_or(usize::MAX);
    Ok(Runtime {
        engine,
        context,
        next_id: 0,
    })
}

fn engine_of(pipeline: Arc<tokio::sync::Mutex<dyn Pipeline>>) -> Result<Arc<MistralRs>, Problem> {
    let scheduler = SchedulerConfig::DefaultScheduler {
        method: DefaultSchedulerMethod::Fixed(MAX_RUNNING),
    };
    let builder = MistralRsBuilder::new(pipeline, scheduler, false, None)
        .with_no_prefix_cache(true)
        .with_disable_eos_stop(true);
    // A runtime of one thread: on another, mistral.rs would begin with a dummy run.
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map(|runtime| runtime.block_on(builder.build()))
        .context("cannot start a tokio runtime")
}

/// Bound on sequences that mistral.rs runs at once; how many are sent is decided by the self-check.
const MAX_RUNNING: std::num::NonZeroUsize = match std::num::NonZeroUsize::new(16) {
    Some(n) => n,
    None => std::num::NonZeroUsize::MIN,
};

fn message_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without a message").to_owned()
}
