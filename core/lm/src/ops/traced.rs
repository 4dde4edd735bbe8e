//! Reverse-mode differentiation over candle tensors, without the gradients nobody asked for.
//!
//! candle's own `backward` starts every gradient as a tensor of zeros, adds to it with one thread, and computes the
//! gradient of both operands of every product, frozen weights included. Here an operation records only the inputs that
//! lead to a parameter, gradients are moved rather than copied, and what the forward pass saved is freed as soon as the
//! backward pass has used it.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use candle_core::{DType, Result, Tensor, Var, bail};

use super::again::{Again, Kept};
use super::elementwise::{add_assign, gather_rows, scatter_rows};

/// A tensor together with how it came about, if a parameter had a part in it. Clones share the tensor.
#[derive(Clone)]
pub(crate) struct Traced {
    tensor: Tensor,
    node: Option<Arc<Node>>,
    /// How to make it again, where that is cheaper than to keep it for the backward pass.
    again: Option<Arc<Again>>,
}

/// Turns the gradient of a result into the gradients of the recorded inputs, in their order.
type Backward = Box<dyn FnOnce(Tensor) -> Result<Vec<Option<Tensor>>> + Send>;

struct Node {
    /// Creation order, which is an order of the graph: inputs are older than their result.
    id: u64,
    step: Mutex<Option<Step>>,
}

/// How one node hands its gradient on. Taken out (and so freed) when the backward pass reaches it.
struct Step {
    inputs: Vec<Option<Arc<Node>>>,
    /// Whether the returned gradients are new memory, which nobody else can see.
    fresh: bool,
    backward: Backward,
}

impl Node {
    fn new(step: Option<Step>) -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Arc::new(Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            step: Mutex::new(step),
        })
    }
}

impl std::fmt::Debug for Traced {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Traced")
            .field("shape", self.tensor.shape())
            .field("dtype", &self.tensor.dtype())
            .field("requires_grad", &self.requires_grad())
            .finish()
    }
}

impl From<Tensor> for Traced {
    fn from(tensor: Tensor) -> Self {
        Self::constant(tensor)
    }
}

impl Traced {
    /// A tensor that gets no gradient: data, or a frozen weight.
    pub(crate) fn constant(tensor: Tensor) -> Self {
        Self {
            tensor: tensor.detach(),
            node: None,
            again: None,
        }
    }

    /// A tensor whose gradient is wanted: a trainable weight, or the input of a recomputed layer.
    ///
    /// The memory is shared, not copied: after [`super::AdamW::step`] changed it, the next forward pass sees the change.
    pub(crate) fn parameter(tensor: Tensor) -> Self {
        Self {
            tensor: tensor.detach(),
            node: Some(Node::new(None)),
            again: None,
        }
    }

    /// The values.
    pub(crate) fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    /// Shape, outermost dimension first.
    pub(crate) fn dims(&self) -> &[usize] {
        self.tensor.dims()
    }

    /// Whether a parameter had a part in this value.
    pub(crate) fn requires_grad(&self) -> bool {
        self.node.is_some()
    }

    /// The same values, cut off from how they came about.
    pub(crate) fn detach(&self) -> Self {
        Self::constant(self.tensor.clone())
    }

    /// Records `output`, made from `inputs`; `backward` returns one gradient per input (`None` where the input needs
    /// none, see [`Traced::requires_grad`]), each in memory of its own.
    pub(crate) fn record(
        output: Tensor,
        inputs: &[&Traced],
        backward: impl FnOnce(Tensor) -> Result<Vec<Option<Tensor>>> + Send + 'static,
    ) -> Self {
        Self::record_step(output, inputs, true, Box::new(backward))
    }

    /// As [`Traced::record`], for a backward pass whose results may share memory with the gradient it was given.
    pub(crate) fn record_sharing(
        output: Tensor,
        inputs: &[&Traced],
        backward: impl FnOnce(Tensor) -> Result<Vec<Option<Tensor>>> + Send + 'static,
    ) -> Self {
        Self::record_step(output, inputs, false, Box::new(backward))
    }

    fn record_step(output: Tensor, inputs: &[&Traced], fresh: bool, backward: Backward) -> Self {
        let inputs: Vec<_> = inputs.iter().map(|input| input.node.clone()).collect();
        let tensor = output.detach();
        if inputs.iter().all(Option::is_none) {
            return Self::constant(tensor);
        }
        let node = Node::new(Some(Step {
            inputs,
            fresh,
            backward,
        }));
        Self {
            tensor,
            node: Some(node),
            again: None,
        }
    }

    /// The same value, which `make` gives again: what keeps it for its backward pass keeps `make` instead. That must hold nothing
    /// that the backward pass of the value itself does not hold.
    pub(crate) fn made_by(self, make: impl Fn() -> Result<Tensor> + Send + Sync + 'static) -> Self {
        let again = self.node.is_some().then(|| Arc::new(Again::new(make)));
        Self { again, ..self }
    }

    /// The values as a backward pass keeps them.
    pub(crate) fn keep(&self) -> Kept {
        match &self.again {
            Some(again) => Kept::again(again.clone()),
            None => Kept::Whole(self.tensor.clone()),
        }
    }

    /// Gradients of this scalar with respect to the parameters it depends on. The graph is consumed.
    ///
    /// # Errors
    /// When the value is no scalar, depends on no parameter, or was already gone through.
    pub(crate) fn backward(&self) -> Result<Gradients> {
        if self.tensor.elem_count() != 1 {
            bail!("backward needs a scalar, got shape {:?}", self.dims());
        }
        self.backward_from(self.tensor.ones_like()?)
    }

    /// Gradients of `sum(self * gradient)`: the backward pass of everything before this value, given the gradient of
    /// what came after it. The graph is consumed.
    ///
    /// # Errors
    /// When the shapes differ, the value depends on no parameter, or was already gone through.
    pub(crate) fn backward_from(&self, gradient: Tensor) -> Result<Gradients> {
        if gradient.dims() != self.dims() {
            bail!(
                "gradient of shape {:?} for a value of shape {:?}",
                gradient.dims(),
                self.dims()
            );
        }
        let Some(root) = &self.node else {
            bail!("backward of a value that depends on no parameter");
        };
        let mut pending: BTreeMap<u64, Pending> = BTreeMap::new();
        pending.insert(
            root.id,
            Pending::new(root.clone(), gradient.detach(), false),
        );
        let mut gradients = HashMap::new();
        // Youngest first: every use of a value is younger than the value.
        while let Some((id, Pending { node, sum, owned })) = pending.pop_last() {
            let step = node.step.lock().map(|mut step| step.take());
            let Ok(Some(step)) = step else {
                gradients.insert(id, sum);
                continue;
            };
            let input_gradients = (step.backward)(sum)?;
            // A gradient handed on to one input alone is still nobody else's.
            let handed_on = input_gradients.iter().flatten().count() == 1;
            let owned = step.fresh || (owned && handed_on);
            for (input, gradient) in step.inputs.into_iter().zip(input_gradients) {
                if let (Some(input), Some(gradient)) = (input, gradient) {
                    accumulate(&mut pending, input, gradient, owned)?;
                }
            }
        }
        Ok(Gradients(gradients))
    }

    /// Whether this is another parameter, or another constant, than `other`.
    pub(crate) fn is_apart_from(&self, other: &Traced) -> bool {
        self.tensor.id() != other.tensor.id()
    }

    /// Sum of two values of the same shape.
    ///
    /// # Errors
    /// When shapes, types or devices differ.
    pub(crate) fn add(&self, other: &Traced) -> Result<Traced> {
        let output = super::elementwise::add(&self.tensor, &other.tensor)?;
        let needed = [self, other].map(Traced::requires_grad);
        Ok(Self::record_sharing(
            output,
            &[self, other],
            move |gradient| Ok(needed.map(|needed| needed.then(|| gradient.clone())).into()),
        ))
    }

    /// Product with a number.
    ///
    /// # Errors
    /// When the tensor library fails.
    pub(crate) fn scale(&self, factor: f64) -> Result<Traced> {
        let output = (&self.tensor * factor)?;
        Ok(Self::record(output, &[self], move |gradient| {
            Ok(vec![Some((gradient * factor)?)])
        }))
    }

    /// The same elements in another shape.
    ///
    /// # Errors
    /// When the number of elements differs.
    pub(crate) fn reshape<S: Into<candle_core::Shape>>(&self, shape: S) -> Result<Traced> {
        let output = self.tensor.reshape(shape)?;
        let dims = self.dims().to_vec();
        Ok(Self::record_sharing(output, &[self], move |gradient| {
            Ok(vec![Some(gradient.reshape(dims)?)])
        }))
    }

    /// The rows `indices` (`u32 [k]`) of a matrix `[n, c]`: `[k, c]`. An index may occur more than once.
    ///
    /// # Errors
    /// When an index is out of range.
    pub(crate) fn rows(&self, indices: &Tensor) -> Result<Traced> {
        let output = gather_rows(&self.tensor, indices)?;
        let (n, indices) = (self.tensor.dim(0)?, indices.clone());
        Ok(Self::record(output, &[self], move |gradient| {
            Ok(vec![Some(scatter_rows(&gradient, &indices, n)?)])
        }))
    }

    /// `count` columns of a matrix, from `first` on.
    ///
    /// # Errors
    /// When there are not so many.
    pub(crate) fn columns(&self, first: usize, count: usize) -> Result<Traced> {
        let all = self.tensor.dim(1)?;
        let output = self.tensor.narrow(1, first, count)?.contiguous()?;
        Ok(Self::record(output, &[self], move |gradient| {
            let padded = gradient.pad_with_zeros(1, first, all - first - count)?;
            Ok(vec![Some(padded)])
        }))
    }

    /// The same values in another type; the gradient comes back in this one's.
    ///
    /// # Errors
    /// When the conversion does not exist on the device.
    pub(crate) fn to_dtype(&self, dtype: DType) -> Result<Traced> {
        let from = self.tensor.dtype();
        if dtype == from {
            return Ok(self.clone());
        }
        let output = self.tensor.to_dtype(dtype)?;
        Ok(Self::record(output, &[self], move |gradient| {
            Ok(vec![Some(gradient.to_dtype(from)?)])
        }))
    }

    /// Any function of tensors, differentiated by candle: it is computed again in the backward pass. For devices and
    /// types without a kernel of ours.
    ///
    /// # Errors
    /// Whatever `function` returns.
    pub(crate) fn compose(
        inputs: &[&Traced],
        function: impl Fn(&[Tensor]) -> Result<Tensor> + Send + 'static,
    ) -> Result<Traced> {
        let tensors: Vec<Tensor> = inputs.iter().map(|input| input.tensor.clone()).collect();
        let needed: Vec<bool> = inputs.iter().map(|input| input.requires_grad()).collect();
        let output = function(&tensors)?;
        Ok(Self::record_sharing(output, inputs, move |gradient| {
            compose_backward(tensors, &needed, &gradient, function)
        }))
    }
}

/// The gradient of a value, summed over the uses seen so far.
struct Pending {
    node: Arc<Node>,
    sum: Tensor,
    /// Whether `sum` is ours to change.
    owned: bool,
}

impl Pending {
    fn new(node: Arc<Node>, sum: Tensor, owned: bool) -> Self {
        Self { node, sum, owned }
    }
}

/// Adds `gradient` to what is known of `node`'s, in place where one of both is ours to change.
fn accumulate(
    pending: &mut BTreeMap<u64, Pending>,
    node: Arc<Node>,
    gradient: Tensor,
    owned: bool,
) -> Result<()> {
    use std::collections::btree_map::Entry;
    match pending.entry(node.id) {
        Entry::Vacant(entry) => {
            entry.insert(Pending::new(node, gradient, owned));
        }
        Entry::Occupied(mut entry) => {
            let known = entry.get_mut();
            if known.owned {
                add_assign(&mut known.sum, &gradient)?;
            } else if owned {
                let shared = std::mem::replace(&mut known.sum, gradient);
                add_assign(&mut known.sum, &shared)?;
                known.owned = true;
            } else {
                known.sum = super::elementwise::add(&known.sum, &gradient)?;
                known.owned = true;
            }
        }
    }
    Ok(())
}

/// Gradients of `function` by candle: the function is computed again on variables.
pub(super) fn compose_backward(
    tensors: Vec<Tensor>,
    needed: &[bool],
    gradient: &Tensor,
    function: impl Fn(&[Tensor]) -> Result<Tensor>,
) -> Result<Vec<Option<Tensor>>> {
    let mut variables = Vec::with_capacity(tensors.len());
    for (tensor, needed) in tensors.into_iter().zip(needed) {
        variables.push(if *needed {
            Var::from_tensor(&tensor)?.into_inner()
        } else {
            tensor
        });
    }
    let output = function(&variables)?;
    let mut store = (output * gradient)?.sum_all()?.backward()?;
    let mut gradients = Vec::with_capacity(variables.len());
    for (variable, needed) in variables.iter().zip(needed) {
        gradients.push(if *needed {
            store.remove(variable)
        } else {
            None
        });
    }
    Ok(gradients)
}

/// What a backward pass found: the gradient of every parameter that had a part in the result.
#[derive(Debug)]
pub(crate) struct Gradients(HashMap<u64, Tensor>);

impl Gradients {
    /// The gradient of `parameter`, or `None` when it had no part.
    pub(crate) fn get(&self, parameter: &Traced) -> Option<&Tensor> {
        self.0.get(&parameter.node.as_ref()?.id)
    }

    /// Takes the gradient of `parameter` out, so that its memory can be freed or reused.
    pub(crate) fn remove(&mut self, parameter: &Traced) -> Option<Tensor> {
        self.0.remove(&parameter.node.as_ref()?.id)
    }

    /// Number of parameters with a gradient.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no parameter has a gradient.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
