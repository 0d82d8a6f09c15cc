"""The finished, tested version of what the chapters build.

Importing this package loads neither torch nor jax. The rooms of the house are its modules:
`config`, `presets`, `stories`, `tokenizers`, `datasets`, `shards`, `chat`, `lora`, `sampling`, `checkpoint`,
`hub`, `evaluate`, `plots`, the command line `cli`, and one folder a framework: `numpy`, `torch`, `jax`.
"""

from microgpt_ref.config import ConfigError, GPTConfig, count_parameters
from microgpt_ref.presets import PRESETS, preset

__version__ = "0.1.0"
__all__ = ["PRESETS", "ConfigError", "GPTConfig", "__version__", "count_parameters", "preset"]
