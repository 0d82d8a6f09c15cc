"""Template and encoding: cuts against brute force, ids and masks against Hugging Face's own template."""

import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microgpt_ref import chat, datasets, stories
from microgpt_ref.chat import Message, Refused
from microgpt_ref.tokenizers import CHAT_TOKENS, BPETokenizer, CharacterTokenizer, gpt2

LETTERS = "abc \né" + "".join(sorted(set("<|assistant|>enduser")))
CHARACTERS = CharacterTokenizer(set(LETTERS), CHAT_TOKENS)
BPE = BPETokenizer.train("the assistant is a user <|assistant|> é 🏮 " * 5, 280, CHAT_TOKENS)

# what a user may type, marks included
typed = st.lists(st.sampled_from([*LETTERS, *CHAT_TOKENS, "abc"]), max_size=12).map("".join)


@st.composite
def conversations(draw: st.DrawFn, answered: bool = True) -> chat.Conversation:
    """One to four exchanges of any texts, empty ones too, perhaps with a system message."""
    messages = [Message("system", draw(typed))] if draw(st.booleans()) else []
    for _ in range(draw(st.integers(1, 4))):
        messages += [Message("user", draw(typed)), Message("assistant", draw(typed))]
    return tuple(messages if answered else messages[:-1])


def framed(pairs: list[tuple[str, str]], system: str) -> list[str]:
    """The conversation as a list of one string a token, for a tokenizer of characters."""
    tokens: list[str] = []
    for i, (question, answer) in enumerate(pairs):
        text = system + "\n\n" + question if system and i == 0 else question
        tokens += ["<|user|>", *text, "<|enduser|>", "<|assistant|>", *answer, "<|endassistant|>"]
    return tokens


def apart(conversation: chat.Conversation) -> tuple[str, list[tuple[str, str]]]:
    """The system's text and the pairs of question and answer."""
    texts = [text for role, text in conversation if role != "system"]
    system = conversation[0].text if conversation[0].role == "system" else ""
    return system, list(zip(texts[::2], texts[1::2], strict=False))


@st.composite
def cuts(draw: st.DrawFn, answered: bool = True) -> tuple[chat.Conversation, int]:
    """A conversation and a number of tokens to cut it to, often just enough for some turns."""
    conversation = draw(conversations(answered))
    system, pairs = apart(conversation if answered else (*conversation, Message("assistant", "")))
    lengths = [len(framed(pairs[i:], system)) - (not answered) for i in range(len(pairs))]
    near = st.sampled_from(lengths).flatmap(lambda length: st.integers(length - 1, length + 1))
    return conversation, max(2, draw(near | st.integers(2, max(lengths) + 2)))


def names(ids: list[int]) -> list[str]:
    return [CHARACTERS.decode([token_id]) for token_id in ids]


# --- the template -------------------------------------------------------------------------------------------


def test_the_template_by_hand():
    talk = (Message("user", "Hi"), Message("assistant", "Yes?"), Message("user", "Bye"))
    text = "<|user|>Hi<|enduser|><|assistant|>Yes?<|endassistant|><|user|>Bye<|enduser|>"
    assert chat.render(talk) == text
    assert chat.render((Message("system", "Be kind."), *talk)) == text.replace("Hi", "Be kind.\n\nHi")


@settings(deadline=None)
@given(conversations())
def test_encoding_is_encoding_the_rendered_text(conversation):
    """Where nobody types a mark, the ids are those of the whole text with its marks read as such."""
    for tokenizer in (CHARACTERS, BPE):
        harmless = tuple(Message(role, text.replace("|", "")) for role, text in conversation)
        encoded = chat.encode(harmless, tokenizer, 1000)
        assert encoded.ids.tolist() == tokenizer.encode(chat.render(harmless), allow_special=True)


@settings(deadline=None)
@given(conversations())
def test_what_is_typed_stays_text(conversation):
    for tokenizer in (CHARACTERS, BPE):
        ids = chat.encode(conversation, tokenizer, 1000).ids.tolist()
        assert tokenizer.decode(ids) == chat.render(conversation)
        marks = [token_id for token_id in ids if token_id in tokenizer.special_tokens.values()]
        assert marks == [tokenizer.special(mark) for mark in CHAT_TOKENS] * len(apart(conversation)[1])


def test_hugging_face_gives_the_same_text_ids_and_mask():
    transformers = pytest.importorskip("transformers")
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers

    names = {**{letter: i for i, letter in enumerate(CHARACTERS.characters)}, **CHARACTERS.special_tokens}
    twin = Tokenizer(models.WordLevel(names, unk_token="a"))
    twin.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    twin.add_special_tokens(list(CHAT_TOKENS))
    other = transformers.PreTrainedTokenizerFast(tokenizer_object=twin)
    other.chat_template = chat.CHAT_TEMPLATE

    @settings(max_examples=60, deadline=None)
    @given(conversations(), st.booleans())
    def check(conversation, answered):
        talk = tuple(Message(role, text.replace("|", "")) for role, text in conversation)
        talk = talk if answered else talk[:-1]
        messages = [{"role": role, "content": text} for role, text in talk]
        theirs = other.apply_chat_template(messages, tokenize=False, add_generation_prompt=not answered)
        assert theirs == chat.render(talk) + ("" if answered else "<|assistant|>")
        if not answered:
            ids = other.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
            assert ids == chat.prompt(talk, CHARACTERS, 1000)
            return
        output = other.apply_chat_template(messages, return_dict=True, return_assistant_tokens_mask=True)
        encoded = chat.encode(talk, CHARACTERS, 1000)
        assert output["input_ids"] == encoded.ids.tolist()
        assert output["assistant_masks"] == encoded.answers.astype(int).tolist()

    check()
    with pytest.raises(Exception, match="the role tool is not system, user or assistant"):
        other.apply_chat_template([{"role": "tool", "content": "4"}], tokenize=False)


@pytest.mark.parametrize(
    ("roles", "message"),
    [
        ("", "no message of the user's"),
        ("s", "no message of the user's"),
        ("a", "message 0 .* has the role 'assistant', not 'user'"),
        ("uu", "message 1 .* has the role 'user', not 'assistant'"),
        ("uasu", "message 2 .* has the role 'system', not 'user'"),
        ("sus", "message 1 .* has the role 'system', not 'assistant'"),
    ],
)
def test_roles_out_of_order(roles, message):
    named = {"s": "system", "u": "user", "a": "assistant"}
    talk = [Message(named[role], "a") for role in roles]
    with pytest.raises(ValueError, match=message):
        chat.render(talk)
    for use in (chat.encode, chat.prompt):
        with pytest.raises(ValueError, match=message):
            use(talk, CHARACTERS, 9)


# --- encode -------------------------------------------------------------------------------------------------


@settings(max_examples=400, deadline=None)
@given(cuts())
def test_every_cut_against_brute_force(cut):
    conversation, context = cut[0], cut[1] - 1
    system, pairs = apart(conversation)
    fitting = [rest for i in range(len(pairs)) if len(framed(rest := pairs[i:], system)) <= context + 1]
    if fitting:
        expected = framed(fitting[0], system)
    else:
        alone = framed(pairs[-1:], system)
        text = alone.index("<|enduser|>") - 1  # tokens of the user's text, the system's included
        excess = len(alone) - context - 1
        if excess >= text:
            with pytest.raises(Refused) as refused:
                chat.encode(conversation, CHARACTERS, context)
            assert refused.value.reason == "the last answer fills the context"
            return
        expected = ["<|user|>", *alone[1 + excess :]]
        assert len(expected) == context + 1
    encoded = chat.encode(conversation, CHARACTERS, context)
    assert names(encoded.ids.tolist()) == expected
    marked, answering = [], False
    for (
        token_id
    ) in encoded.ids:  # a reader of its own: after <|assistant|>, up to <|endassistant|> and with it
        marked.append(answering)
        answering = (answering or token_id == CHARACTERS.special("<|assistant|>")) and (
            token_id != CHARACTERS.special("<|endassistant|>")
        )
    assert encoded.answers.tolist() == marked


@settings(deadline=None)
@given(conversations(), st.integers(1, 60))
def test_the_frame_is_whole_with_bpe_too(conversation, context):
    try:
        encoded = chat.encode(conversation, BPE, context)
    except Refused:
        return
    assert len(encoded.ids) == len(encoded.answers) <= context + 1
    marks = [token_id for token_id in encoded.ids.tolist() if token_id in BPE.special_tokens.values()]
    frame = [BPE.special(mark) for mark in CHAT_TOKENS]
    assert marks == frame * (len(marks) // 4)
    assert encoded.ids[0] == frame[0]
    assert encoded.ids[-1] == frame[-1]
    answers = "".join(answer + "<|endassistant|>" for _, answer in apart(conversation)[1])
    assert answers.endswith(BPE.decode(encoded.ids[encoded.answers]))


def test_encode_all_counts_what_it_refuses():
    fine = (Message("user", "a"), Message("assistant", "b"))
    long = (Message("user", "a"), Message("assistant", "b" * 50))
    foreign = (Message("user", "日"), Message("assistant", "b"))
    encoded, refused = chat.encode_all([fine, long, fine, foreign, foreign], CHARACTERS, 10)
    assert len(encoded) == 2
    assert refused == Counter(
        {"the last answer fills the context": 1, "a text that the tokenizer cannot encode": 2}
    )
    with pytest.raises(Refused, match=r"'日' .* is not among this tokenizer's"):
        chat.encode(foreign, CHARACTERS, 10)


def test_encode_says_what_is_wrong():
    talk = (Message("user", "a"), Message("assistant", "b"))
    with pytest.raises(ValueError, match=r"ends with the user's turn; add the answer, or use prompt\(\)"):
        chat.encode(talk[:1], CHARACTERS, 9)
    with pytest.raises(ValueError, match="context=0 is too small"):
        chat.encode(talk, CHARACTERS, 0)
    with pytest.raises(ValueError, match=r"has no '<\|user\|>'; use chat.with_chat_tokens"):
        chat.encode(talk, CharacterTokenizer("ab"), 9)


# --- prompt -------------------------------------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@given(cuts(answered=False), st.integers(0, 20))
def test_a_prompt_is_cut_by_whole_turns_and_keeps_the_system_message(cut, reserve):
    conversation, context = cut[0], cut[1] + reserve
    system, pairs = apart(conversation)
    newest = conversation[-1].text
    ends = [framed([*pairs[i:], (newest, "")], system)[:-1] for i in range(len(pairs) + 1)]
    fitting = [tokens for tokens in ends if len(tokens) <= context - reserve]
    if not fitting:
        with pytest.raises(ValueError, match=f"takes {len(ends[-1])} tokens, but context={context}"):
            chat.prompt(conversation, CHARACTERS, context, reserve)
        return
    assert names(chat.prompt(conversation, CHARACTERS, context, reserve)) == fitting[0]


def test_a_prompt_is_how_training_began_the_answer():
    talk = (Message("system", "ab"), Message("user", "c"), Message("assistant", "a"), Message("user", "b"))
    ids = chat.prompt(talk, BPE, 100)
    assert ids == chat.encode((*talk, Message("assistant", "")), BPE, 100).ids[:-1].tolist()


def test_prompt_says_what_is_wrong():
    talk = (Message("user", "a"), Message("assistant", "b"))
    with pytest.raises(ValueError, match="ends with an answer; add the user's next message"):
        chat.prompt(talk, CHARACTERS, 9)
    with pytest.raises(ValueError, match="reserve=-1 is negative"):
        chat.prompt(talk[:1], CHARACTERS, 9, -1)
    with pytest.raises(ValueError, match="newest message and the system message takes 7 tokens"):
        chat.prompt((Message("system", "a"), *talk[:1]), CHARACTERS, 6)


# --- chat tokens --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "tokenizer",
    [
        CharacterTokenizer("abc"),
        CharacterTokenizer("abc", ["<|endoftext|>", "<|user|>"]),
        BPETokenizer.train("the lamp " * 9, 260, ["<|x|>"]),
        CHARACTERS,
    ],
)
def test_chat_tokens_come_after_the_others(tokenizer):
    longer = chat.with_chat_tokens(tokenizer)
    assert type(longer) is type(tokenizer)
    assert longer.encode("abcab") == tokenizer.encode("abcab")
    assert set(CHAT_TOKENS) <= set(longer.special_tokens)
    assert tokenizer.special_tokens.items() <= longer.special_tokens.items()
    added = len(longer.special_tokens) - len(tokenizer.special_tokens)
    assert longer.vocab_size == tokenizer.vocab_size + added
    assert chat.with_chat_tokens(longer) is longer


def test_gpt2_with_chat_tokens():
    try:
        tokenizer = gpt2()
    except ConnectionError as error:
        pytest.skip(str(error))
    longer = chat.with_chat_tokens(tokenizer)
    assert longer.to_dict() == {"kind": "gpt2", "chat": True}
    assert [longer.special(mark) for mark in CHAT_TOKENS] == [50257, 50258, 50259, 50260]
    assert longer.special("<|endoftext|>") == 50256


def test_an_unknown_tokenizer_cannot_be_extended():
    class Other:
        vocab_size = 3
        special_tokens = ()
        encode = decode = special = to_dict = print

    with pytest.raises(TypeError, match="tokenizer is a Other, which cannot be extended"):
        chat.with_chat_tokens(Other())


# --- real conversations -------------------------------------------------------------------------------------


@pytest.mark.parametrize("context", [100_000, 384])
def test_the_real_conversations_decode_to_the_assistants_text(context):
    if not (datasets.data_folder() / datasets.FILES["hh_rlhf_test"].filename).exists():
        pytest.skip("hh_rlhf_harmless_base_test.jsonl.gz is not in MICROGPT_DATA")
    try:
        tokenizer = gpt2(chat=True)
    except ConnectionError as error:
        pytest.skip(str(error))
    conversations = chat.read_conversations(datasets.fetch("hh_rlhf_test")).conversations
    encoded, refused = chat.encode_all(conversations, tokenizer, context)
    assert not refused
    whole = 0
    for conversation, (ids, answers) in zip(conversations, encoded, strict=True):
        said = "".join(text + "<|endassistant|>" for role, text in conversation if role == "assistant")
        decoded = tokenizer.decode(ids[answers])
        # not `assert decoded == said`: a failure would print what people wrote
        assert bool(said.endswith(decoded))
        assert bool(decoded)
        whole += decoded == said
        assert len(ids) <= context + 1
        frame = ids[ids >= tokenizer.special("<|user|>")] - tokenizer.special("<|user|>")
        assert bool((frame == np.arange(len(frame)) % 4).all())
    assert (whole == len(conversations)) == (context == 100_000)


def test_importing_chat_loads_no_framework():
    code = (
        "import sys, microgpt_ref.chat; print([n for n in ('torch', 'jax', 'tiktoken') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- stories ------------------------------------------------------------------------------------------------

STORY_TOKENIZER = CharacterTokenizer(stories.ALPHABET, CHAT_TOKENS)


def test_story_conversations_of_one_turn_are_the_questions():
    for seed, split in ((0, "train"), (3, "validation")):
        talks = chat.story_conversations(40, seed, split)
        questions = stories.questions(40, seed, split)
        assert talks == [
            (
                Message("system", each.story.strip()),
                Message("user", each.question),
                Message("assistant", f" {each.answer}"),
            )
            for each in questions
        ]
        encoded, refused = chat.encode_all(talks, STORY_TOKENIZER, 512)
        assert not refused
        for each, (ids, answers) in zip(questions, encoded, strict=True):
            assert STORY_TOKENIZER.decode(ids[answers]) == f" {each.answer}<|endassistant|>"
            assert STORY_TOKENIZER.decode(ids[1:]).startswith(f"{each.story.strip()}\n\n{each.question}<")


@pytest.mark.parametrize("turns", [2, 4, 50])
def test_more_turns_ask_more_about_the_same_story_and_nothing_twice(turns):
    single, talks = chat.story_conversations(30, 1), chat.story_conversations(30, 1, turns=turns)
    assert talks == chat.story_conversations(40, 1, turns=turns)[:30]
    for first, talk, story in zip(single, talks, stories.generate(30, 1), strict=True):
        known = {each.question: each.answer for each in stories.questions_about(story)}
        assert talk[:3] == first
        assert len(talk) == 1 + 2 * min(turns, len(known))
        assert talk[0].text == story.strip()
        asked = [message.text for message in talk[1::2]]
        assert len(set(asked)) == len(asked)
        assert [" " + known[question] for question in asked] == [message.text for message in talk[2::2]]
        assert all(STORY_TOKENIZER.encode(text) for _, text in talk)


def test_the_kinds_of_further_questions_are_drawn_evenly():
    further = [quiz[1].kind for quiz in stories.quizzes(400, turns=2)]
    kinds = Counter(further)
    assert set(kinds) == {"holder", "where", "owner", "promiser", "promise", "kept", "scene"}
    # a kind of one question is gone once it was asked first; otherwise all are as likely
    assert 0.6 < kinds["promise"] / kinds["scene"] < 1.6
    with pytest.raises(ValueError, match="turns=0 asks nothing"):
        stories.quizzes(1, turns=0)
