# without a rival the benchmarks say so and succeed
. "$TESSERA_ROOT/tests/cli/lib.sh"
mkdir none
for tool in bash sh dirname cat; do ln -s "$(command -v $tool)" none/; done
expect 0 env PATH="$PWD/none" NODE_PATH= ORT_DIR= bash "$TESSERA_ROOT/scripts/bench-ort.sh"
says out 'skipped: ONNX Runtime: there is no node'
printf '#!/bin/sh\nexit 77\n' > none/node
chmod +x none/node
expect 0 env PATH="$PWD/none" NODE_PATH= ORT_DIR= bash "$TESSERA_ROOT/scripts/bench-ort.sh"
says out 'skipped: ONNX Runtime: node does not find onnxruntime-node'
