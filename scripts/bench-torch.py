#!/usr/bin/python3
"""bench-torch.py TOOL MODELS - one training step (forward, backward, AdamW) of ours against PyTorch's.

TOOL is build/tests/bench_step, MODELS a directory with dscnn, bilstm, kwt, tcn and mlp, each with a
model.onnx. The networks are rebuilt here as torch modules with the weights of the files, so that
both train the same function: the losses of the first step must agree. One thread, processor time,
the quickest step of each round, rounds in turn; the median of the rounds' ratios is reported. One
JSON object a network and a table at the end. Says "skipped" and exits 0 where torch or onnx is
missing. Environment: ROUNDS, BATCH, NETWORKS."""
import json, os, subprocess, sys, tempfile, time

try:
    import numpy as np, onnx, torch
    from onnx import numpy_helper
    from torch import nn
    import torch.nn.functional as F
except ImportError as missing:
    print('skipped: PyTorch:', missing)
    sys.exit(0)


class Dscnn(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 48, 5, 2, 2)
        plan = [(48, 48, 2), (48, 48, 1), (48, 96, 2), (96, 96, 1)]
        self.dw = nn.ModuleList(nn.Conv2d(i, i, 3, s, 1, groups=i) for i, _, s in plan)
        self.pw = nn.ModuleList(nn.Conv2d(i, o, 1) for i, o, _ in plan)
        self.fc = nn.Linear(96, 10)

    def load(self, w):
        for layer in [self.stem] + [x for pair in zip(self.dw, self.pw) for x in pair]:
            w.fill(layer)
        w.fill(self.fc)

    def forward(self, x):
        x = F.relu(self.stem(x))
        for dw, pw in zip(self.dw, self.pw):
            x = F.relu(pw(F.relu(dw(x))))
        return self.fc(x.mean((2, 3)))


class Bilstm(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(40, 48, 2, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(96, 10)

    def load(self, w):
        def gates(a):  # i o f c to i f g o
            i, o, f, c = np.split(a, 4)
            return torch.tensor(np.concatenate([i, f, c, o]))
        for layer in range(2):
            wi, wr, b = w.take(), w.take(), w.take()
            for d, end in enumerate(['', '_reverse']):
                for name, value in (('weight_ih', wi[d]), ('weight_hh', wr[d]), ('bias_ih', b[d, :192]),
                                    ('bias_hh', b[d, 192:])):
                    getattr(self.rnn, f'{name}_l{layer}{end}').data.copy_(gates(value))
        w.fill(self.fc)

    def forward(self, x):
        return self.fc(self.rnn(x.squeeze(1).transpose(1, 2))[0].mean(1))


class Block(nn.Module):
    def __init__(self, d, heads):
        super().__init__()
        self.heads = heads
        self.n1, self.n2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.qkv, self.o = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.f1, self.f2 = nn.Linear(d, 2 * d), nn.Linear(2 * d, d)

    def forward(self, x):
        n, t, d = x.shape
        q, k, v = self.qkv(self.n1(x)).reshape(n, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        a = (q @ k.transpose(2, 3) / (d // self.heads) ** 0.5).softmax(-1)
        x = x + self.o((a @ v).transpose(1, 2).reshape(n, t, d))
        return x + self.f2(F.gelu(self.f1(self.n2(x))))


class Kwt(nn.Module):
    def __init__(self):
        super().__init__()
        self.e = nn.Linear(40, 64)
        self.p = nn.Parameter(torch.zeros(1, 64, 64))
        self.b = nn.ModuleList(Block(64, 4) for _ in range(3))
        self.n = nn.LayerNorm(64)
        self.fc = nn.Linear(64, 10)

    def load(self, w):
        w.linear(self.e)
        self.p.data.copy_(torch.tensor(w.take()))
        for b in self.b:
            w.fill(b.n1)
            w.linear(b.qkv)
            w.linear(b.o)
            w.fill(b.n2)
            w.linear(b.f1)
            w.linear(b.f2)
        w.fill(self.n)
        w.fill(self.fc)

    def forward(self, x):
        x = self.e(x.squeeze(1).transpose(1, 2)) + self.p
        for b in self.b:
            x = b(x)
        return self.fc(self.n(x).mean(1))


class Tcn(nn.Module):
    def __init__(self):
        super().__init__()
        self.i = nn.Conv1d(40, 64, 1)
        self.a = nn.ModuleList(nn.Conv1d(64, 64, 3, padding=2 ** i, dilation=2 ** i) for i in range(4))
        self.b = nn.ModuleList(nn.Conv1d(64, 64, 1) for _ in range(4))
        self.fc = nn.Linear(64, 10)

    def load(self, w):
        w.fill(self.i)
        for a, b in zip(self.a, self.b):
            w.fill(a)
            w.fill(b)
        w.fill(self.fc)

    def forward(self, x):
        x = self.i(x.squeeze(1))
        for a, b in zip(self.a, self.b):
            x = x + b(F.gelu(a(x)))
        return self.fc(x.mean(2))


class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.f = nn.Sequential(nn.Flatten(), nn.Linear(2560, 256), nn.LayerNorm(256), nn.ReLU(), nn.Linear(256, 256),
                               nn.LayerNorm(256), nn.ReLU(), nn.Linear(256, 10))

    def load(self, w):
        for i in (1, 2, 4, 5, 7):
            w.fill(self.f[i])

    def forward(self, x):
        return self.f(x)


class Weights:
    """The float initialisers of a file in the order in which its nodes read them."""

    def __init__(self, path):
        g = onnx.load(path).graph
        named = {i.name: numpy_helper.to_array(i) for i in g.initializer}
        names = []
        for node in g.node:
            for x in node.input:
                if x in named and x not in names and named[x].dtype == np.float32:
                    names.append(x)
        self.left = [named[x] for x in names]

    def take(self):
        return self.left.pop(0)

    def fill(self, layer):
        layer.weight.data.copy_(torch.tensor(self.take()))
        layer.bias.data.copy_(torch.tensor(self.take()))

    def linear(self, layer):  # MatMul + Add: the weights lie the other way round
        layer.weight.data.copy_(torch.tensor(self.take().T))
        layer.bias.data.copy_(torch.tensor(self.take()))


NETWORKS = {'dscnn': Dscnn, 'bilstm': Bilstm, 'kwt': Kwt, 'tcn': Tcn, 'mlp': Mlp}


def torch_step(net, optimiser, x, y):
    optimiser.zero_grad(set_to_none=True)
    loss = F.cross_entropy(net(x), y)
    loss.backward()
    optimiser.step()
    return loss.item()


def quickest(n, step):
    best = float('inf')
    for _ in range(n):
        start = time.thread_time()
        loss = step()
        best = min(best, time.thread_time() - start)
    return best * 1e3, loss


def compare(tool, models, name, batch, rounds, work):
    torch.manual_seed(1)
    x, y = torch.randn(batch, 1, 40, 64), torch.randint(10, (batch,))
    np.save(work + '/x.npy', x.numpy())
    np.save(work + '/y.npy', y.numpy().astype(np.int32))
    path = f'{models}/{name}/model.onnx'
    net, weights = NETWORKS[name](), Weights(path)
    net.load(weights)
    assert not weights.left, f'{name}: {len(weights.left)} weights are left'
    optimiser = torch.optim.AdamW(net.parameters(), 1e-3, weight_decay=0.01)
    ours = subprocess.Popen([tool, path, work + '/x.npy', work + '/y.npy'], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            text=True)

    def ask(n):
        ours.stdin.write(f'{n}\n')
        ours.stdin.flush()
        ms, loss, kernel = ours.stdout.readline().split()
        return float(ms), float(loss), kernel

    first, theirs = ask(1), torch_step(net, optimiser, x, y)
    assert abs(first[1] - theirs) <= 1e-4 * max(1, abs(theirs)), f'{name}: the losses are {first[1]} and {theirs}'
    ask(3), quickest(3, lambda: torch_step(net, optimiser, x, y))
    pairs = [(ask(3)[0], quickest(3, lambda: torch_step(net, optimiser, x, y))[0]) for _ in range(rounds)]
    ours.stdin.close()
    ours.wait()
    mine, other = (float(np.median([p[i] for p in pairs])) for i in (0, 1))
    return {'network': name, 'batch': batch, 'threads': 1, 'kernel': first[2], 'ours_ms': round(mine, 3),
            'torch': torch.__version__, 'torch_ms': round(other, 3),
            'ratio': round(float(np.median([b / a for a, b in pairs])), 3), 'loss': round(first[1], 5)}


def main():
    tool, models = sys.argv[1:]
    torch.set_num_threads(1)
    batch, rounds = int(os.environ.get('BATCH', 64)), int(os.environ.get('ROUNDS', 11))
    results = []
    with tempfile.TemporaryDirectory() as work:
        for name in os.environ.get('NETWORKS', ' '.join(NETWORKS)).split():
            results.append(compare(tool, models, name, batch, rounds, work))
            print(json.dumps(results[-1]), flush=True)
    print(f'\n{"network":<8} {"ours ms":>9} {"torch ms":>9} {"ratio":>6}')
    for r in results:
        print(f'{r["network"]:<8} {r["ours_ms"]:>9.2f} {r["torch_ms"]:>9.2f} {r["ratio"]:>6.2f}')
    print(f'geometric mean {float(np.exp(np.mean(np.log([r["ratio"] for r in results])))):.2f}')


main()
