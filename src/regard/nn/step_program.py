"""A step of all layers of a Transformer decoder in one native call, for search with frozen weights.

One sentence at a time, Python takes longer to call the kernels of a step than they take to run. So the layers run once,
while the kernels that they call are recorded as a program, and later steps run the program. Layers do not know of this,
and the results are the same bit for bit. Layers that also compute something without these kernels have no program.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from regard.nn.attention_memory import (
    KeysValues,
    PaddedSource,
    Positions,
    Recurrence,
    SequenceMemory,
    SourceMemory,
)
from regard.nn.attention_recorder import active_recorder
from regard.nn.kernels import native
from regard.nn.kernels.linear import PARALLEL
from regard.nn.kernels.native import KernelCall
from regard.nn.kernels.operations import (
    ATTEND_SOURCE,
    ATTEND_TARGET,
    LINEAR_FLOAT32,
    ROTATE,
    STORE_QUERIES,
    Batch,
    Input,
    Layer,
    Operation,
)
from regard.nn.kv_cache import LayerState, RecurrentState, StepMemory

ROWS = 3  # of a sentence while recording: several, so that strides are unambiguous
POSITION = 5  # of the step while recording: not the first, at which rotary positions change nothing
_ATTENTION = (ATTEND_TARGET, ATTEND_SOURCE)

Run = Callable[[Tensor, Sequence[SequenceMemory], Sequence[SourceMemory]], Tensor]
"""Runs the layers: x (B, T, D), and for each layer its target and its source, to (B, T, D)."""


class NotRecordableError(Exception):
    """A layer computes something that a program cannot."""


class StepProgram:
    """The kernels that the layers call in a step, with their weights.

    Args:
        kernels: The library of the kernels.
        operations: The calls, in their order.
        num_layers: The number of layers.
        width: D.
        floats: The space in the workspace for each row.
        constants: The weights, to which the operations only point.
        rotations: Returns the table of rotary positions: see `regard.nn.kernels.layers.rotate`. None: there are none.
    """

    def __init__(
        self,
        kernels: native.Kernels,
        operations: Sequence[Operation],
        num_layers: int,
        width: int,
        floats: int,
        constants: Sequence[Tensor],
        rotations: Callable[[int], Tensor] | None = None,
    ) -> None:
        self._kernels = kernels
        self._operations = (Operation * len(operations))(*operations)
        self._layers = Layer * num_layers
        self.width, self.floats = width, floats
        linear = [operation for operation in operations if operation.kind == LINEAR_FLOAT32]
        self._largest = max((operation.width * operation.outputs for operation in linear), default=0)  # weight
        self._constants = constants
        self.rotations = rotations
        self._query_widths = [operation.width for operation in operations if operation.kind == STORE_QUERIES]

    @property
    def address(self) -> int:
        """The address of the operations."""
        return ctypes.addressof(self._operations)

    @property
    def count(self) -> int:
        """The number of operations."""
        return len(self._operations)

    def empty_queries(self, sentences: int, rows: int) -> Tensor | None:
        """Return space for the queries (B, T, 1, W) of the first head, which a decoder copies by; None: it does not."""
        return torch.empty(sentences, rows, 1, self._query_widths[0]) if self._query_widths else None

    def __deepcopy__(self, memo: object) -> None:
        return None  # the copy's weights may be changed

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return type(None), ()  # another process has other addresses

    @classmethod
    def record(
        cls, run: Run, x: Tensor, targets: Sequence[StepMemory], sources: Sequence[PaddedSource]
    ) -> StepProgram | None:
        """Run the layers once on x (B, ROWS, D) and return their program, or None if there is none.

        Args:
            run: Runs the layers.
            x: Any values for several sentences.
            targets: The memory of a step for each layer.
            sources: The source for each layer.
        """
        recorder = _Recorder(x)
        recorded = (
            [_RecordedTarget(recorder, index, target) for index, target in enumerate(targets)],
            [_RecordedSource(recorder, index, source) for index, source in enumerate(sources)],
        )
        states = [target.state for target in targets]
        token = native.call_listener.set(recorder.record)
        try:
            expected = run(x, *recorded)
            program = recorder.compile(expected, len(targets))
        except NotRecordableError:
            return None
        finally:
            native.call_listener.reset(token)
        expected_states, expected_weights = [target.state for target in targets], sources[-1].weights
        for target, state in zip(targets, states, strict=True):
            state.rewind()  # the program writes the same slots
            target.state = state
        actual = [program.run(x, targets, sources), *_hidden([target.state for target in targets])]
        is_equal = all(map(torch.equal, actual, [expected, *_hidden(expected_states)]))
        weights = sources[-1].weights
        if expected_weights is not None and weights is not None:
            is_equal &= weights.equal(expected_weights)
        return program if is_equal else None

    def is_fastest(self, rows: int) -> bool:
        """Return whether layers would not divide products of this many rows among threads, as a program cannot."""
        return torch.get_num_threads() == 1 or rows * self._largest < PARALLEL

    def can_run(self, x: Tensor, sources: Sequence[PaddedSource]) -> bool:
        """Return whether the program can run a step of x (B, T, D)."""
        return (
            x.size(1) <= native.MAX_ROWS
            and self.is_fastest(x.size(0) * x.size(1))
            and native.supports_inference(x)
            and active_recorder() is None
            and not any(source.with_weights for source in sources)
        )

    def run(self, x: Tensor, targets: Sequence[StepMemory], sources: Sequence[PaddedSource]) -> Tensor:
        """Run a step of x (B, T, D), as the layers would: return their output (B, T, D) and advance their states."""
        sentences, rows, _ = x.shape
        x, out = x.contiguous(), torch.empty_like(x)
        layers, states = self._layers(), list[LayerState]()
        for layer, target, source in zip(layers, targets, sources, strict=True):
            states.append(target.state.lend(layer))
            self.fill(layer, source.projected)
        visible, mask = targets[0].visible, sources[0].mask.contiguous()
        visible = None if visible is None else visible.contiguous()
        pointer = None if visible is None else visible.data_ptr()
        position = targets[0].position
        table = None if self.rotations is None else self.rotations(position + 1)
        batch = (Batch * 1)(Batch(sentences * rows, sentences, pointer, mask.data_ptr(), mask.size(1), position))
        batch[0].rotations = None if table is None else table.data_ptr()
        queries = self.empty_queries(sentences, rows)
        batch[0].queries = None if queries is None else queries.data_ptr()
        self._kernels.decoder_step(
            *(self._operations, len(self._operations), layers, batch),
            *(x.data_ptr(), out.data_ptr(), self.width, self.floats),
        )
        for target, state in zip(targets, states, strict=True):
            target.state = state.extend(rows)
        if queries is not None:
            sources[-1].weigh_first_head(queries)
        return out

    @staticmethod
    def fill(layer: Layer, source: KeysValues) -> None:
        """Let a layer point to its source."""
        layer.source_keys, layer.source_values = source.keys.data_ptr(), source.values.data_ptr()
        layer.key_sentence, layer.key_slot = source.keys.stride()[:2]
        layer.value_sentence, layer.value_slot = source.values.stride()[:2]


class _Recorder:
    """Records the calls of kernels that lead from x (B, ROWS, D) to the output of the layers."""

    def __init__(self, x: Tensor) -> None:
        self._calls: list[tuple[KernelCall, int]] = []  # with their layers
        self._x = x
        self.layer = 0  # of the next calls
        # The tensors of all buffers by their address: as long as they live, no other tensor has the same.
        self._buffers = {_address(x): x}

    def record(self, call: KernelCall) -> None:
        """Add a call, of which all inputs must be outputs of other calls, or x."""
        for tensor in call.inputs:
            buffer, rows = self._buffers.get(_address(tensor)), self._by_sentence(tensor)
            if buffer is None or not rows[0, 0].is_contiguous():
                raise NotRecordableError
            if rows.stride()[:2] != (ROWS * _floats(buffer), _floats(buffer)):
                raise NotRecordableError
        for tensor in call.inputs[:1] if call.kind in _ATTENTION else call.inputs:
            if not tensor.is_contiguous() or tensor.storage_offset():
                raise NotRecordableError
        self._calls.append((call, self.layer))
        self._buffers[_address(call.output)] = call.output

    def _by_sentence(self, tensor: Tensor) -> Tensor:
        """Return (B, ROWS, ...), of which a recurrence has (B x ROWS, 1, ...). Raises NotRecordableError."""
        sentences, rows = self._x.shape[:2]
        if tensor.shape[:2] == (sentences * rows, 1) and tensor.is_contiguous():
            return tensor.view(sentences, rows, *tensor.shape[2:])
        if tensor.shape[:2] != (sentences, rows):
            raise NotRecordableError
        return tensor

    def compile(self, output: Tensor, num_layers: int) -> StepProgram:
        """Return the program with this output. Raises NotRecordableError."""
        last_use = {_address(tensor): index for index, (call, _) in enumerate(self._calls) for tensor in call.inputs}
        if not self._calls or _address(self._calls[-1][0].output) != _address(output) or _address(output) in last_use:
            raise NotRecordableError
        tables = [call.table for call, _ in self._calls if call.kind == ROTATE]
        if any(table != tables[0] for table in tables):
            raise NotRecordableError
        starts, free, end = {_address(self._x): 0}, dict[int, list[int]](), _floats(self._x)
        operations = []
        for index, (call, layer) in enumerate(self._calls):
            floats = _floats(call.output)
            if not free.setdefault(floats, []):
                free[floats].append(end)
                end += floats
            starts[_address(call.output)] = free[floats].pop()
            operations.append(_operation(call, layer, starts, self._buffers))
            for address in {_address(tensor) for tensor in call.inputs}:
                if last_use[address] == index:
                    free.setdefault(_floats(self._buffers[address]), []).append(starts[address])
        constants = [constant.detach() for call, _ in self._calls for constant in call.constants]
        rotations = tables[0] if tables else None
        return StepProgram(native.kernels(), operations, num_layers, _floats(self._x), end, constants, rotations)


def _address(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _floats(buffer: Tensor) -> int:
    """Return the floats per row of a buffer (B, ROWS, ...)."""
    return buffer.numel() // (buffer.size(0) * buffer.size(1))


def _operation(call: KernelCall, layer: int, starts: dict[int, int], buffers: dict[int, Tensor]) -> Operation:
    """Return a call as an operation on buffers that start at `starts`."""
    first = call.inputs[0]
    operation = Operation(kind=call.kind, layer=layer, out=starts[_address(call.output)], number=call.number)
    for index, tensor in enumerate(call.inputs):
        step = _floats(buffers[_address(tensor)])
        operation.inputs[index] = Input(starts[_address(tensor)], step, tensor.storage_offset())
    for index, constant in enumerate(call.constants):
        operation.constants[index] = constant.data_ptr()
    operation.width, operation.outputs = first.size(-1), call.output.size(-1)
    if call.kind in (*_ATTENTION, ROTATE):
        operation.heads, operation.groups = first.size(2), call.groups
    return operation


def _hidden(states: Sequence[LayerState]) -> list[Tensor]:
    """Return the states of recurrent layers."""
    return [state.hidden for state in states if isinstance(state, RecurrentState)]


def _check_heads(keys: Tensor) -> None:
    """Raise NotRecordableError unless the native attention supports the heads of these keys (N, S, K, W)."""
    width = keys.size(3)
    if width % native.UNIT or keys.stride()[2:] != (width, 1):
        raise NotRecordableError


class _RecordedTarget(SequenceMemory):
    """A step's memory of the target that records what is done with it."""

    def __init__(self, recorder: _Recorder, layer: int, view: StepMemory) -> None:
        self._recorder, self._layer, self._view = recorder, layer, view

    @property
    def positions(self) -> Positions:
        """The position of the step."""
        return self._view.positions

    def attend(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Attend, and record it."""
        _check_heads(keys)
        output = self._view.attend(queries, keys, values)
        self._recorder.layer = self._layer
        self._recorder.record(KernelCall(ATTEND_TARGET, (queries, keys, values), output, groups=keys.size(2)))
        return output

    def scan(self, recurrence: Recurrence, x: Tensor) -> Tensor:
        """Run a recurrence, of which kernels are recorded."""
        self._recorder.layer = self._layer
        return self._view.scan(recurrence, x)


class _RecordedSource(SourceMemory):
    """The source of a step that records attention to it."""

    def __init__(self, recorder: _Recorder, layer: int, source: PaddedSource) -> None:
        self._recorder, self._layer, self._source = recorder, layer, source

    def attend(self, queries: Tensor) -> Tensor:
        """Attend, and record it."""
        keys = self._source.projected.keys
        _check_heads(keys)
        output = self._source.attend(queries)
        self._recorder.layer = self._layer
        if self._source.with_first_head:
            self._recorder.record(KernelCall(STORE_QUERIES, (queries,), queries.new_empty(*queries.shape[:2], 0)))
        self._recorder.record(KernelCall(ATTEND_SOURCE, (queries,), output, groups=keys.size(2)))
        return output
