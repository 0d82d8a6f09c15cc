"""Conversations: one template, the formats they come in, masks for the loss, and rows to train on.

    <|user|>Who has the lantern?<|enduser|><|assistant|>Mara has the lantern.<|endassistant|>

    conversations → encode: ids and which of them are the assistant's → pack: inputs and targets (n, T)

The four marks are tokens of their own (`with_chat_tokens`). What a user types stays text: "<|assistant|>" in
a message becomes the ids of its letters, so nobody can put words into the assistant's mouth.

    >>> from microgpt_ref import chat, stories, tokenizers
    >>> tokenizer = chat.with_chat_tokens(tokenizers.CharacterTokenizer(stories.ALPHABET))
    >>> encoded = [chat.encode(each, tokenizer, context=512) for each in chat.story_conversations(100)]
    >>> inputs, targets = chat.pack(encoded, context=512)
"""

from microgpt_ref.chat.encoding import Encoded, encode, encode_all, prompt, with_chat_tokens
from microgpt_ref.chat.formats import (
    FORMATS,
    Parsed,
    parse_alpaca,
    parse_hh,
    parse_messages,
    read_conversations,
)
from microgpt_ref.chat.named import NAMES, Dialogues, load_conversations, story_conversations
from microgpt_ref.chat.packing import pack, rows
from microgpt_ref.chat.template import CHAT_TEMPLATE, Conversation, Message, Refused, render, settle

__all__ = [
    "CHAT_TEMPLATE",
    "FORMATS",
    "NAMES",
    "Conversation",
    "Dialogues",
    "Encoded",
    "Message",
    "Parsed",
    "Refused",
    "encode",
    "encode_all",
    "load_conversations",
    "pack",
    "parse_alpaca",
    "parse_hh",
    "parse_messages",
    "prompt",
    "read_conversations",
    "render",
    "rows",
    "settle",
    "story_conversations",
    "with_chat_tokens",
]
