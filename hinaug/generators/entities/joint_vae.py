"""JointVAE: whole new nodes from the posterior of a variational autoencoder over all relations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
import torch
from scipy.special import softmax

from hinaug.checks import COUNT, DROPOUT, NOT_NEGATIVE, POSITIVE, Limits, Rng, is_number
from hinaug.errors import ParameterError
from hinaug.features.kinds import decoded
from hinaug.generators.entities.attributes import STEPS, TREES, codes_of, ranks_of
from hinaug.generators.entities.calibration import calibrate, pool_of
from hinaug.generators.entities.drawing import Linked
from hinaug.generators.entities.real import Real
from hinaug.generators.entities.whole import WholeNodes
from hinaug.graph import arrow as tb
from hinaug.graph.delta import Delta
from hinaug.graph.hin import HIN
from hinaug.nn.joint_vae import JointVAENetwork, bag
from hinaug.training.joint_vae import JointVAEEpochs, encoder_rows
from hinaug.training.loop import train
from hinaug.training.mult_vae import unit_rows

BINS = 20  # quantile bins of ordered and continuous columns
FEW = 10_000  # nodes up to which all epochs are run
SMALL = 10**8  # a batch of fewer multiplications is done before a second thread has woken up


@dataclass(eq=False)
class JointVAE(WholeNodes):
    """Whole new nodes from the posterior of a joint variational autoencoder: the taste of a source
    node, with other links.

        source u at random,   z = mu_u + s_u eps
        relation r: as many links as u has, with P ~ exp(logits_r(z, links before) / T_r + o_r)
        attributes: given the drawn links

    The network is `hinaug.nn.JointVAENetwork`: Mult-VAE (Liang et al., "Variational Autoencoders
    for Collaborative Filtering", WWW 2018), with chained heads for further relations. Offsets o_r
    make targets as popular as real ones (iterative proportional fitting on 2,000 new nodes). T_r
    makes profiles as coherent as real ones: the mean cosine of two targets of a profile, judged on
    nodes that the cosines were not learned from.

    Parameters
    ----------
    node, relations, keep, time, between, writer
        See `WholeNodes`.
    attributes
        "trees": sequential trees on the graph at hand. "heads": chained heads of the network, with
        values drawn from the real ones in the same quantile bin; faster for many nodes, and less
        like real ones.
    latent, hidden
        32 numbers from 128, enough for the taste in a thin profile.
    kl, dropout
        0.5; more of either says less about a node and copies less.
    epochs
        100; fewer for more than 10,000 nodes: 100 sqrt(10,000 / n).
    batch_size, lr
        Of Adam.
    temperature
        None finds one for each relation.
    candidates
        Targets sampled for a softmax over more than twice as many.

    Learned: `weights_`, `offsets_` and `temperatures_` (one a view), `history_` (loss per epoch).

    Condition: nodes are the sources; attributes choose sources most like them and stay as given;
    links choose sources that have them and stay. A word that no real node has is a ParameterError.
    `neighbours` makes nodes that keep the history of given ones.

    Confidence: of a link the probability of its draw, of a node the mean of its links.

    Cost: an epoch O(links x hidden + n x candidates x hidden); a draw O(k x targets x hidden).

    A generated node is not anonymous: it says much about its source.

    Example
    -------
    >>> from hinaug.datasets import planted_mixed
    >>> hin = planted_mixed(100, 40, 10, rng=0)
    >>> delta = JointVAE("user", epochs=3).fit(hin, rng=0).generate(hin, 5, rng=0)
    >>> sorted(delta.edges) == [("user", "follows", "user"), ("user", "rates", "item")]
    True
    """

    LIMITS: ClassVar[Limits] = {
        "attributes": ("trees", "heads"),
        "latent": COUNT,
        "hidden": COUNT,
        "kl": NOT_NEGATIVE,
        "dropout": DROPOUT,
        "epochs": COUNT,
        "batch_size": COUNT,
        "lr": POSITIVE,
        "temperature": POSITIVE,
        "candidates": COUNT,
    }
    node: str = "user"
    _: KW_ONLY
    attributes: str = "trees"
    latent: int = 32
    hidden: int = 128
    kl: float = 0.5
    dropout: float = 0.5
    epochs: int = 100
    batch_size: int = 128
    lr: float = 1e-3
    temperature: float | None = None
    candidates: int = 2048

    # whether nodes have as many links beside those kept as a random real node has
    _adds = False

    def neighbours(
        self, hin: HIN, nodes: object, k: int = 5, keep: float = 1.0, rng: Rng = None
    ) -> Delta:
        """k new nodes for each given one: with its history, and with further links that go with it.

        Parameters
        ----------
        hin
            The graph.
        nodes
            External ids of observed nodes.
        k
            New nodes for each.
        keep
            Probability that a link of the node is kept. Beside those a new node has as many as a
            random real one.
        rng
            A seed or a numpy Generator.

        Raises ParameterError for a k that is no whole number, and what `generate` raises.
        """
        if not is_number(k, Integral) or k < 0:
            raise ParameterError(
                f"{self.origin}.neighbours: k={k!r}: how many each node gets, a whole number of at "
                "least 0",
                asked=k,
            )
        ids = tb.as_array(nodes, f"{self.origin}.neighbours")
        twin = self.clone(keep=keep)
        twin.__dict__.update(self._learned())
        twin._adds = True
        return twin.generate(hin, k * len(ids), condition=ids, rng=rng)

    def _learned(self) -> dict[str, Any]:
        return {n: v for n, v in vars(self).items() if n.endswith("_") and n[0] != "_"}

    def _degree(
        self, real: Real, at: int, source: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        degree = super()._degree(real, at, source, rng)
        of_all = real.views[at].degree
        if not self._adds or of_all.max() <= 1:
            return degree
        return degree + of_all[rng.integers(len(of_all), size=len(source))]

    # ---- learning --------------------------------------------------------------------------------

    def _learn(self, real: Real, rng: np.random.Generator) -> None:
        random = torch.Generator().manual_seed(int(rng.integers(2**62)))
        self._note_sizes(real)
        network = self._network(random)
        epochs = max(1, round(self.epochs * min(1.0, np.sqrt(FEW / len(real.nodes)))))
        epoch = self._likelihood(network, real, rng, random, epochs)
        trained = train(
            self,
            network,
            epoch,
            epochs=epochs,
            optimizers=epoch.optimizers,
            generators=[rng, random],
            threads=self._threads(),
        )
        self._keep(network)
        self.history_ = np.array([losses["loss"] for losses in trained.losses])
        self._calibrate(real, rng)

    def _note_sizes(self, real: Real) -> None:
        self._note_bins(real)
        self.sizes_ = [view.links.shape[1] for view in real.views]

    def _likelihood(
        self,
        network: JointVAENetwork,
        real: Real,
        rng: np.random.Generator,
        random: torch.Generator,
        n_epochs: int,
    ) -> JointVAEEpochs:
        return JointVAEEpochs(
            network,
            [view.links for view in real.views],
            self._codes(real.table, len(real.nodes)),
            rng,
            random,
            batch_size=self.batch_size,
            lr=self.lr,
            dropout=self.dropout,
            kl=self.kl,
            n_epochs=n_epochs,
            candidates=self.candidates,
        )

    def _threads(self) -> int | None:
        return 1 if self.batch_size * sum(self.sizes_) * self.hidden < SMALL else None

    def _keep(self, network: JointVAENetwork) -> None:
        """Note the weights; what was made of earlier ones is dropped."""
        self.weights_ = {name: p.numpy().copy() for name, p in network.state_dict().items()}
        self.__dict__.pop("_restored", None)

    def _network(self, random: torch.Generator) -> JointVAENetwork:
        return JointVAENetwork(
            self.sizes_,
            [len(edges) + 2 for edges in self.bins_.values()],
            self.hidden,
            self.latent,
            random,
            write_columns=self.attributes == "heads",
            sparse=[m > 2 * self.candidates for m in self.sizes_],
        )

    def _trained(self) -> JointVAENetwork:
        """The network with what was learned; kept until the next fit."""
        kept = self.__dict__.get("_restored")
        if kept is None:
            kept = self._network(torch.Generator().manual_seed(0))
            kept.load_state_dict({n: torch.from_numpy(w) for n, w in self.weights_.items()})
            self._restored = kept.eval()
        return kept

    def _calibrate(self, real: Real, rng: np.random.Generator) -> None:
        """Find temperature and offsets of each view on a pool of new nodes, in chain order."""
        pool = pool_of(real, rng)
        state = self._state(real, pool, rng)

        def logits_of(at: int, drawn: Sequence[sp.csr_array], rows: slice) -> np.ndarray:
            return self._plain_logits(at, state, drawn, rows)

        self.temperatures_, self.offsets_ = calibrate(real, pool, logits_of, self.temperature, rng)

    # ---- columns as codes ------------------------------------------------------------------------

    def _note_bins(self, real: Real) -> None:
        """What turns each column into codes: the commonest words, or the edges of quantile bins."""
        self.bins_: dict[str, pa.Array] = {}
        for name in [c for c, kind in self.kinds_.items() if kind in TREES]:
            known = decoded(tb.one_chunk(real.table[name])).drop_null()
            if self.kinds_[name] == "words":
                code, n_codes = codes_of(known)
                first = [int(np.argmax(code == c)) for c in range(1, min(n_codes, 201))]
                self.bins_[name] = known.take(pa.array(first))
            else:
                order = np.argsort(ranks_of(known), kind="stable")
                at = np.linspace(0, len(known), BINS + 1)[1:-1].astype(np.int64)
                self.bins_[name] = known.take(pa.array(order[at])).unique()

    def _codes(self, table: pa.Table, n: int) -> np.ndarray:
        """Codes of the columns of n nodes [n, c]: 0 for null, then one a bin."""
        codes = [self._code(name, tb.one_chunk(table[name])) for name in self.bins_]
        return np.column_stack([np.zeros((n, 0), np.int64), *codes])

    def _code(self, name: str, column: pa.Array) -> np.ndarray:
        """Codes of one column."""
        column, edges = decoded(column), self.bins_[name]
        null = column.is_null().to_numpy(zero_copy_only=False)
        if self.kinds_[name] == "words":
            place = tb.lookup(edges, column)
            code = np.where(place >= 0, place + 1, len(edges) + 1)
        else:
            rank = ranks_of(pa.concat_arrays([edges, column]))
            code = np.searchsorted(np.sort(rank[: len(edges)]), rank[len(edges) :], "right") + 1
        return np.where(null, 0, code).astype(np.int64)

    def _donors(self, real: Real, new: Linked, rng: np.random.Generator) -> dict[str, np.ndarray]:
        if self.attributes == "trees" or not self.bins_:
            return super()._donors(real, new, rng)
        network, known = self._trained(), self._codes(real.table, len(real.nodes))
        names = list(self.bins_)
        codes = np.zeros((len(new.state), len(names)), np.int64)
        with torch.no_grad():
            hidden = network.decode(torch.from_numpy(new.state))
            for at, view_links in enumerate(new.links):
                hidden = network.after(hidden, at, bag(unit_rows(view_links)))
            for c, name in enumerate(names):
                logits = network.column_logits(c, hidden, torch.from_numpy(codes)).numpy()
                logits += _margin_offsets(logits, known[:, c], new.match)
                codes[:, c] = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
                if name in new.given:
                    codes[:, c] = self._code(name, new.given[name])
        return {name: with_code(known[:, c], codes[:, c], rng) for c, name in enumerate(names)}

    # ---- links -----------------------------------------------------------------------------------

    def _shown(self, real: Real, rows: np.ndarray) -> sp.csr_array:
        """What the encoder sees of real nodes."""
        codes = self._codes(real.table, len(real.nodes))[rows]
        links = [view.links[rows] for view in real.views]
        return encoder_rows(links, codes, self._trained().levels)

    def _state(self, real: Real, source: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Latents of new nodes, drawn from the posteriors of their sources: float32 [k, latent]."""
        network = self._trained()
        rows, where = np.unique(source, return_inverse=True)
        with torch.no_grad():
            encoded = network.encode(bag(self._shown(real, rows)))
        mean, log_variance = (x.numpy() for x in encoded)
        noise = rng.standard_normal((len(source), self.latent), dtype=np.float32)
        return mean[where] + np.exp(0.5 * log_variance[where]) * noise

    def _logits(
        self, at: int, state: np.ndarray, drawn: Sequence[sp.csr_array], rows: slice
    ) -> np.ndarray:
        logits = self._plain_logits(at, state, drawn, rows)
        logits /= np.float32(self.temperatures_[at])
        logits += self.offsets_[at]
        return logits

    def _plain_logits(
        self, at: int, state: np.ndarray, drawn: Sequence[sp.csr_array], rows: slice
    ) -> np.ndarray:
        """Logits of view `at` as the network has them [b, m]."""
        network = self._trained()
        with torch.no_grad():
            hidden = network.decode(torch.from_numpy(state[rows]))
            for before in range(at):
                hidden = network.after(hidden, before, bag(unit_rows(drawn[before][rows])))
            return network.logits(at, hidden).numpy()


@dataclass(eq=False)
class FineTuned(JointVAE):
    """A method that goes on from the network of a JointVAE; a subclass writes `_go_on`."""

    def _go_on(self, real: Real, rng: np.random.Generator) -> None:
        """Train on what was learned from the graph."""
        raise NotImplementedError(f"{type(self).__name__} has no _go_on")

    @classmethod
    def fine_tuned(cls, vae: JointVAE, hin: HIN, *, rng: Rng = None, **changes: Any) -> Self:
        """A model of this class that goes on from a fitted JointVAE, which stays as it is.

        Parameters
        ----------
        vae
            Fitted on `hin`.
        hin
            The graph.
        rng
            A seed or a numpy Generator.
        changes
            Hyperparameters of this class beside those of `vae`.

        Raises NotFittedError for a JointVAE that is not fitted.
        """
        vae._check_fitted()
        made = cls(**(vae.get_params() | changes))
        draws = made._ready("fine_tuned", hin, None, rng)
        made.__dict__.update(vae._learned())
        made.fitted_on_ = hin.fingerprint()
        wanted = made._network(torch.Generator().manual_seed(0)).state_dict()
        made.weights_ = {name: w for name, w in vae.weights_.items() if name in wanted}
        made._go_on(made._real(hin), draws)
        return made


def _margin_offsets(logits: np.ndarray, known: np.ndarray, match: bool) -> np.ndarray:
    """What to add to the logits of codes [k, n] so that draws have the margin of known codes, if
    they shall; codes that are not known are never drawn.
    """
    counts = np.bincount(known, minlength=logits.shape[1]).astype(np.float64)
    offsets = np.where(counts > 0, 0.0, -np.inf)
    for _ in range(STEPS if match else 0):
        expected = softmax(logits + offsets, axis=1).mean(axis=0)
        step = np.log(np.maximum(counts / counts.sum(), 1e-9) / np.maximum(expected, 1e-9))
        offsets = np.where(counts > 0, offsets + step, -np.inf)
    return offsets


def with_code(known: np.ndarray, codes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """For each code a random real row that has it; any row where none has."""
    order = np.argsort(known, kind="stable")
    first, last = (np.searchsorted(known[order], codes, side) for side in ("left", "right"))
    none = first == last
    first, last = np.where(none, 0, first), np.where(none, len(known), last)
    return order[first + (rng.random(len(codes)) * (last - first)).astype(np.int64)]
