"""To and from Hugging Face's transformers: GPT-2's weights in, our models out.

`load_gpt2("gpt2")` downloads OpenAI's GPT-2, `load(folder)` reads a folder, and `export(checkpoint, folder)`
writes one that `AutoModelForCausalLM` and `AutoTokenizer` load. transformers itself is not needed for either.
"""

from microgpt_ref.hub.errors import ExportError, HubError
from microgpt_ref.hub.export import export, family_of
from microgpt_ref.hub.gpt2 import SIZES
from microgpt_ref.hub.load import load, load_gpt2

__all__ = ["SIZES", "ExportError", "HubError", "export", "family_of", "load", "load_gpt2"]
