"""Chapter 15: a glossary. The terms of the field, in English and in Vietnamese, and the chapters that explain them."""

import marimo

app = marimo.App(app_title="15 · Glossary")

with app.setup:
    import math

    import numpy as np
    from glossary import GROUPS
    from page import say

    from minicnn import Tensor, optim


@app.cell
def _():
    def numbers():
        """What the texts leave open, by the engine."""
        softmax = Tensor([1.0, 2.0, 3.0]).softmax().numpy()
        ln10 = -Tensor(np.zeros((1, 10))).log_softmax().numpy()[0, 0]
        assert abs(ln10 - math.log(10)) < 1e-12 and abs(softmax.sum() - 1) < 1e-6
        momentum = optim.SGD([("w", Tensor(np.zeros(1), requires_grad=True))], 0.1).momentum
        eps32, eps64 = ((Tensor(np.nextafter(one, 2 * one)) - one).item() for one in (np.float32(1), np.float64(1)))
        total = (Tensor(np.float64(0.1)) + Tensor(np.float64(0.2))).item()
        return {"softmax": ", ".join(f"{p:.3f}" for p in softmax), "ln10": ln10, "momentum": momentum, "eps32": eps32,
                "eps64": eps64, "sum": total}

    facts = numbers()
    count = sum(map(len, GROUPS.values()))
    say(f"""
        # 15 · Glossary

        The {count} terms that the chapters use, in plain words, and beside each its name in Vietnamese. Behind it
        stands the number of a chapter that shows it at work.
    """, vi=[f"""
        # 15 · Bảng thuật ngữ

        {count} thuật ngữ dùng trong các chương, giải thích bằng lời lẽ đơn giản, kèm tên tiếng Anh. Cuối mỗi mục là số
        của chương cho thấy nó hoạt động ra sao.
    """])
    return (facts,)


@app.cell
def _(facts):
    def of(group):
        """A group in both languages: each name with the other one beside it."""
        def names(name, other):
            return f"**{name}**" + f" · {other}" * (name != other)

        english = [f"- {names(t.english, t.vietnamese)}. {t.means.format(**facts)} *Chapter {t.chapter}.*"
                   for t in GROUPS[group]]
        vietnamese = [f"- {names(t.vietnamese, t.english)}. {t.nghia.format(**facts)} *Chương {t.chapter}.*"
                      for t in GROUPS[group]]
        return [f"## {name}\n\n" + "\n".join(lines) for name, lines in zip(group, (english, vietnamese), strict=True)]

    english, vietnamese = zip(*map(of, GROUPS), strict=True)
    say(*english, vi=vietnamese)
    return


if __name__ == "__main__":
    app.run()
