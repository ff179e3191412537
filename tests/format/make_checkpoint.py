"""Make the frozen checkpoint of the current format. Run this once when FORMAT is raised, never for an old format.

python -m tests.format.make_checkpoint
"""

import json
import random
from pathlib import Path

import torch

from regard.checkpoints.checkpoint import FORMAT, Checkpoint, save_checkpoint
from regard.config.schema import DataConfig, RunConfig, SearchConfig, TokenizerConfig
from regard.contract import Seq2Seq, VocabularySizes
from regard.data.batch import make_batch
from regard.inference.translator import Translator
from regard.models import build_model, transformer2017
from regard.special_tokens import PAD
from regard.tokenizers.base import Tokenizers, train_tokenizers
from regard.training.state import TrainingState

LINES = ["abc", "cab bac", ""]
FOLDER = Path(__file__).parent


def teach(model: Seq2Seq, tokenizers: Tokenizers) -> None:
    """Train a model for 300 steps to reverse strings of a, b and c."""
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    dice = random.Random(1)
    for _ in range(300):
        texts = ["".join(dice.choices("abc ", k=dice.randint(1, 6))) for _ in range(64)]
        encode = tokenizers.source.encode
        batch = make_batch([(encode(text), encode(text[::-1])) for text in texts])
        logits = model(batch.source, batch.target_in)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch.target_out.flatten(), ignore_index=PAD)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def main() -> None:
    tokenizer = TokenizerConfig(kind="character", vocabulary_size=20)
    model_config = transformer2017.Config(
        encoder_layers=1, decoder_layers=1, hidden_size=16, ffn_size=16, num_heads=2, dropout=0.0
    )
    config = RunConfig(
        data=DataConfig(corpus="dates"), tokenizer=tokenizer, model=model_config, search=SearchConfig(beam_size=3)
    )
    tokenizers = train_tokenizers(tokenizer, [("abc abc", "cba cba")])
    size = tokenizers.source.size
    torch.manual_seed(1)
    model = build_model(model_config, VocabularySizes(size, size, joint=True))
    teach(model, tokenizers)
    folder = FOLDER / f"checkpoint-{FORMAT}"
    state = TrainingState({"weights/x": torch.arange(3.0)}, {"step": 7})
    save_checkpoint(folder, Checkpoint(config, tokenizers, model, 7, "none", {"chrf": 1.5}), state)
    translations = Translator.load(folder, "cpu").translate(LINES, top_beams=2)
    expected = [
        [{"text": translation.text, "score": translation.score} for translation in best.n_best] for best in translations
    ]
    (FOLDER / f"checkpoint-{FORMAT}.json").write_text(
        json.dumps({"lines": LINES, "expected": expected}, indent=2) + "\n"
    )


if __name__ == "__main__":
    main()
