// ort-run.js DIR... - runs DIR/model.onnx on DIR/input.npy in ONNX Runtime and compares with
// DIR/output.npy: absolute difference up to 1e-4. One line a folder; exit 1 where one differs,
// 77 where the package onnxruntime-node is not found (through NODE_PATH).
// ort-run.js --forward OUT THREADS MODEL INPUT.npy - runs the model once and writes the elements of
// its first output to OUT. ort-run.js --operators MODEL prints what becomes of convolutions and products once
// ONNX Runtime has optimised the model: NAME COUNT a line. ort-run.js --library prints the path of ONNX Runtime's shared library.
'use strict';
const fs = require('fs');
const TOLERANCE = 1e-4;

function readNpy(path) {
  const b = fs.readFileSync(path);
  if (b.toString('latin1', 1, 6) !== 'NUMPY') throw new Error(path + ' is no .npy');
  const long = b[6] > 1, at = long ? 12 : 10, n = long ? b.readUInt32LE(8) : b.readUInt16LE(8);
  const head = b.toString('latin1', at, at + n);
  const descr = /'descr': *'([^']+)'/.exec(head)[1];
  const dims = /'shape': *\(([^)]*)\)/.exec(head)[1].split(',').filter(s => s.trim()).map(Number);
  const kind = { '<f4': ['float32', Float32Array], '<f8': ['float64', Float64Array], '<i8': ['int64', BigInt64Array],
    '<i4': ['int32', Int32Array], '|u1': ['uint8', Uint8Array], '|i1': ['int8', Int8Array] }[descr];
  if (!kind) throw new Error(path + ': element type ' + descr);
  const body = b.subarray(at + n), copy = body.buffer.slice(body.byteOffset, body.byteOffset + body.byteLength);
  return { type: kind[0], data: new kind[1](copy), dims };
}

async function check(ort, dir) {
  const session = await ort.InferenceSession.create(dir + '/model.onnx', { logSeverityLevel: 3 });
  const input = readNpy(dir + '/input.npy'), want = readNpy(dir + '/output.npy');
  const feeds = { [session.inputNames[0]]: new ort.Tensor(input.type, input.data, input.dims) };
  const have = (await session.run(feeds))[session.outputNames[0]];
  if (have.dims.join() !== want.dims.join()) return `shape [${want.dims}], not [${have.dims}]`;
  let worst = 0;
  for (let i = 0; i < want.data.length; i++) {
    const e = Math.abs(Number(want.data[i]) - Number(have.data[i]));
    if (!(e <= worst)) worst = e;
  }
  return worst <= TOLERANCE ? worst : `outputs differ by ${worst}`;
}

async function forward(ort, out, threads, model, input) {
  const session = await ort.InferenceSession.create(model, { intraOpNumThreads: Number(threads), logSeverityLevel: 3 });
  const x = readNpy(input), y = (await session.run({ [session.inputNames[0]]: new ort.Tensor(x.type, x.data, x.dims) }))[session.outputNames[0]];
  fs.writeFileSync(out, Buffer.from(y.data.buffer, y.data.byteOffset, y.data.byteLength));
}

async function operators(ort, model) {
  const os = require('os'), path = require('path'), dir = fs.mkdtempSync(path.join(os.tmpdir(), 'ort-'));
  try {
    const to = path.join(dir, 'optimised.onnx');
    await ort.InferenceSession.create(model, { optimizedModelFilePath: to, graphOptimizationLevel: 'all', logSeverityLevel: 4 });
    const text = fs.readFileSync(to);
    for (const name of ['Conv', 'FusedConv', 'Gemm', 'FusedGemm', 'MatMul', 'FusedMatMul', 'QLinearConv', 'ConvInteger', 'QLinearMatMul',
      'MatMulInteger', 'MatMulIntegerToFloat', 'DynamicQuantizeMatMul', 'QGemm', 'MatMulNBits']) {
      const field = Buffer.concat([Buffer.from([0x22, name.length]), Buffer.from(name)]); // NodeProto.op_type
      let n = 0;
      for (let at = text.indexOf(field); at >= 0; at = text.indexOf(field, at + 1)) n++;
      if (n > 0) console.log(`${name} ${n}`);
    }
  } finally { fs.rmSync(dir, { recursive: true }); }
}

function library() {
  const path = require('path'), bin = path.join(path.dirname(require.resolve('onnxruntime-node/package.json')), 'bin');
  for (const abi of fs.readdirSync(bin)) {
    const dir = path.join(bin, abi, process.platform, process.arch);
    for (const name of fs.existsSync(dir) ? fs.readdirSync(dir) : [])
      if (/^libonnxruntime\.so/.test(name)) return path.join(dir, name);
  }
  throw new Error('onnxruntime-node has no shared library for this machine');
}

async function main() {
  let ort, failed = 0;
  try { ort = require('onnxruntime-node'); } catch (e) { process.exit(77); }
  if (process.argv[2] === '--library') return console.log(library());
  if (process.argv[2] === '--operators') return operators(ort, process.argv[3]);
  if (process.argv[2] === '--forward') return forward(ort, ...process.argv.slice(3));
  for (const dir of process.argv.slice(2)) {
    let result;
    try { result = await check(ort, dir); } catch (e) { result = e.message.split('\n')[0]; }
    if (typeof result === 'string') failed++;
    const name = dir.replace(/.*\//, '').replace(/_/g, ' ');
    console.log(typeof result === 'string' ? `FAIL ${name}: ${result}` : `PASS ${name} (${result.toExponential(1)})`);
  }
  process.exit(failed ? 1 : 0);
}
main();
