"""The model card: what is in the folder and how to load it."""

from __future__ import annotations

from typing import Any

from microgpt_ref.checkpoint import Checkpoint
from microgpt_ref.config import count_parameters

CARD = """---
library_name: transformers
pipeline_tag: text-generation
---
# A GPT with {parameters:,} parameters

Exported in {dtype} for the class {architecture}: a context of {context} tokens,
a vocabulary of {vocab_size:,}.{gate}

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained("path/of/this/folder")
tokenizer = AutoTokenizer.from_pretrained("path/of/this/folder")
ids = tokenizer("\\n", return_tensors="pt")
print(tokenizer.decode(model.generate(**ids, max_new_tokens=200, do_sample=False)[0]))
```

Trained for {step:,} steps{data}.{metrics} The prompt and the new tokens together must fit into the context.
The tokenizer finds the names of special tokens in text unless it is asked to `split_special_tokens`.
"""

GATE = (
    " The class has a gate in its FFN and this model has none:\nits weights are written so that the gate "
    "changes nothing, which is why the folder holds more numbers."
)


def model_card(checkpoint: Checkpoint, fields: dict[str, Any], dtype: str) -> str:
    """README.md of an export; `fields` is its config.json."""
    data = checkpoint.training.get("dataset", "")
    data = data.get("name", "") if isinstance(data, dict) else data
    numbers = {
        name: value
        for name, value in checkpoint.metrics.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    ungated = fields["model_type"] != "gpt2" and checkpoint.config.activation != "swiglu"
    metrics = ", ".join(f"{name} {value:.4g}" for name, value in numbers.items())
    return CARD.format(
        architecture=fields["architectures"][0],
        parameters=count_parameters(checkpoint.config),
        dtype=dtype,
        context=checkpoint.config.context,
        vocab_size=checkpoint.config.vocab_size,
        step=checkpoint.step,
        data=f" on {data}" if data else "",
        gate=GATE if ungated else "",
        metrics=f" Measured: {metrics}." if metrics else "",
    )
