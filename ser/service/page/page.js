// The page of `ser serve`: record or choose a sound, ask for one answer and for a timeline, draw both.

const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const COLOURS = 8;
const DASHES = ["", "8 3", "2 3", "10 3 2 3", "5 5", "14 4", "3 2 3 6", "1 5"]; // beside colour, so that a line is told without it
const AT_ONCE = 60; // s that one answer hears at most
const READ_AS_IT_IS = /\.(wav|flac|ogg|oga|opus|mp3|aiff?|aifc|au|w64|caf)$/i; // others are sent as a wav, if the browser can decode them
const state = { models: [], limits: {}, token: sessionStorage.getItem("token") || "", shown: null, asked: 0, url: "", recorder: null, opening: false };

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function drawn(name, attributes = {}, text = "") {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text) made.textContent = text;
  return made;
}

const percent = (value) => `${(100 * value).toFixed(0)} %`;
const seconds = (value) => `${value.toFixed(1)} s`;

// --- the service ---------------------------------------------------------------------------------------------------------

async function call(path, options = {}) {
  const headers = state.token ? { Authorization: `Bearer ${state.token}` } : {};
  let answer;
  try {
    answer = await fetch(path, { ...options, headers });
  } catch {
    throw new Error("The service does not answer. Is it still running?");
  }
  const found = await answer.json().catch(() => ({}));
  if (answer.status === 401) {
    $("lock").hidden = false;
    $("source").hidden = true;
    $("token").focus();
    if (!state.token) throw new Error(""); // the form says it
  }
  if (!answer.ok) throw new Error(found.error || `The service answers with the status ${answer.status}.`);
  return found;
}

function predict(file, query) {
  const body = new FormData();
  body.append("file", file, file.name);
  return call(`predict?${new URLSearchParams({ model: $("model").value, ...query })}`, { method: "POST", body });
}

async function start() {
  try {
    const found = await call("models");
    state.models = found.models;
    state.limits = found;
    $("lock").hidden = true;
    $("source").hidden = false;
    $("model").replaceChildren(...found.models.map((m) => element("option", { value: m.name }, m.name)));
    const numbers = [2, 3, 4, 5, 6].map((n) => [n, n]);
    const choices = [["", "not told apart"], ...(found.diarize === "yes" ? [["?", "any number"]] : []), ...numbers];
    $("apart").hidden = found.diarize === "no";
    $("speakers").replaceChildren(...choices.map(([value, text]) => element("option", { value }, text)));
    $("limits").textContent = `At most ${found.most_seconds} s and ${Math.round(found.most_bytes / 1e6)} MB.`;
    describe();
    fail("");
  } catch (error) {
    fail(error.message);
  }
}

function describe() {
  const model = chosen();
  const lengths = model.seconds ? `, utterances of ${model.seconds[0].toFixed(1)} to ${model.seconds[2].toFixed(1)} s` : "";
  const heads = model.heads > 1 ? `The mean of ${model.heads} heads, trained` : "Trained";
  $("about").textContent = `${heads} on ${model.dataset}${lengths}; hears ${model.encoders.join(", ")}. ${model.stamps.join(" ")}`;
}

const chosen = () => state.models.find((m) => m.name === $("model").value) || state.models[0];

function say(text) {
  $("status").textContent = text;
}

function fail(text) {
  $("error").hidden = !text;
  $("error").textContent = text;
  if (text) say("");
}

// --- sound ---------------------------------------------------------------------------------------------------------------

async function decode(blob) {
  const context = new AudioContext();
  try {
    return await context.decodeAudioData(await blob.arrayBuffer());
  } catch {
    return null; // the service may read what the browser cannot
  } finally {
    context.close();
  }
}

function mono(sound) {
  const mean = new Float32Array(sound.length);
  for (let c = 0; c < sound.numberOfChannels; c++) {
    const data = sound.getChannelData(c);
    for (let k = 0; k < mean.length; k++) mean[k] += data[k] / sound.numberOfChannels;
  }
  return mean;
}

function wav(samples, rate, name) {
  const view = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const text = (at, word) => [...word].forEach((sign, k) => view.setUint8(at + k, sign.charCodeAt(0)));
  text(0, "RIFF"); view.setUint32(4, 36 + 2 * samples.length, true); text(8, "WAVEfmt ");
  view.setUint32(16, 16, true); view.setUint16(20, 1, true); view.setUint16(22, 1, true);
  view.setUint32(24, rate, true); view.setUint32(28, 2 * rate, true); view.setUint16(32, 2, true); view.setUint16(34, 16, true);
  text(36, "data"); view.setUint32(40, 2 * samples.length, true);
  samples.forEach((value, k) => view.setInt16(44 + 2 * k, Math.round(32767 * Math.max(-1, Math.min(1, value))), true));
  return new File([view], name, { type: "audio/wav" });
}

async function record() {
  if (state.recorder) {
    if (state.recorder.state !== "inactive") state.recorder.stop();
    return;
  }
  if (state.opening) return; // the browser still asks for the microphone
  fail("");
  if (!navigator.mediaDevices) {
    fail("The microphone needs a safe address: open this page by https, or on this computer by http://127.0.0.1.");
    return;
  }
  let stream;
  state.opening = true;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false } });
  } catch (error) {
    fail(error.name === "NotFoundError" ? "There is no microphone." : "The microphone may not be used: allow it for this page.");
    return;
  } finally {
    state.opening = false;
  }
  const recorder = new MediaRecorder(stream);
  const parts = [];
  const began = performance.now();
  const stopMeter = meter(stream);
  const clock = setInterval(() => {
    const passed = (performance.now() - began) / 1000;
    $("record-text").textContent = `Stop, ${passed.toFixed(0)} s`;
    if (passed > state.limits.most_seconds - 1) recorder.stop();
  }, 250);
  recorder.ondataavailable = (event) => parts.push(event.data);
  recorder.onstop = async () => {
    clearInterval(clock);
    stopMeter();
    stream.getTracks().forEach((track) => track.stop());
    state.recorder = null;
    $("record").setAttribute("aria-pressed", "false");
    $("record-text").textContent = "Record";
    await take(new File(parts, "recording", { type: recorder.mimeType }));
  };
  state.recorder = recorder;
  recorder.start();
  $("record").setAttribute("aria-pressed", "true");
  $("record-text").textContent = "Stop, 0 s";
  say("Recording.");
}

function meter(stream) {
  const context = new AudioContext();
  const analyser = context.createAnalyser();
  context.createMediaStreamSource(stream).connect(analyser);
  const values = new Float32Array(analyser.fftSize);
  const canvas = $("level");
  canvas.hidden = false;
  let frame = 0;
  const show = () => {
    analyser.getFloatTimeDomainData(values);
    const peak = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const paint = canvas.getContext("2d");
    paint.clearRect(0, 0, canvas.width, canvas.height);
    paint.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--accent");
    paint.fillRect(0, 8, canvas.width * Math.min(1, Math.sqrt(peak)), 8);
    frame = requestAnimationFrame(show);
  };
  show();
  return () => {
    cancelAnimationFrame(frame);
    canvas.hidden = true;
    context.close();
  };
}

// --- asking --------------------------------------------------------------------------------------------------------------

async function take(blob) {
  fail("");
  say("Reading the sound …");
  const sound = await decode(blob);
  let file = blob;
  if (sound && !READ_AS_IT_IS.test(blob.name)) {
    file = wav(mono(sound), sound.sampleRate, `${blob.name.replace(/\.[^.]*$/, "")}.wav`);
  }
  state.shown = { file, blob, samples: sound && mono(sound), duration: sound ? sound.duration : null };
  await ask();
}

function windowOf(model, duration) {
  const given = Number($("window").value);
  if (given > 0) return given;
  const usual = model.seconds ? Math.max(1, model.seconds[1]) : 4;
  const fits = duration === null ? usual : Math.max(0.5, duration / 3);
  return Number(Math.min(usual, fits, AT_ONCE).toFixed(1));
}

async function ask() {
  const shown = state.shown;
  if (!shown || !state.models.length) return;
  const mine = ++state.asked;
  const model = chosen();
  const window = windowOf(model, shown.duration);
  const hop = Math.min(window, Math.max(window / 4, (shown.duration || 0) / 500));
  say("The head listens …");
  try {
    const whole = shown.duration !== null && shown.duration > AT_ONCE ? null : await predict(shown.file, {});
    const timeline = await predict(shown.file, { window, hop, rows: "windows", ...speakersAsked() });
    if (mine !== state.asked) return; // another recording, or another head, was asked for meanwhile
    fail("");
    say("");
    show(model, shown, whole, timeline, window);
  } catch (error) {
    if (mine === state.asked) {
      $("result").hidden = true;
      fail(error.message);
    }
  }
}

function speakersAsked() {
  const asked = $("speakers").value;
  return asked === "" ? {} : { diarize: true, ...(asked === "?" ? {} : { speakers: asked }) };
}

// --- showing -------------------------------------------------------------------------------------------------------------

const isDimensions = (model) => model.target === "dimensions";
const beside = (model) => model.dimensions; // of a head on a class and dimensions
const shownBy = (model) => [...model.classes, ...beside(model)];
const isValue = (model, name) => isDimensions(model) || beside(model).includes(name);
const columnOf = (model, name) => (isValue(model, name) ? name : `p_${name}`);
const valueOf = (model, row, name) => row[columnOf(model, name)] ?? 0;
const inWords = (model, value, name) => (isValue(model, name) ? value.toFixed(2) : percent(value));

function limitsOf(model, rows) {
  if (!isDimensions(model)) return [0, 1];
  const known = Object.values(model.scales);
  const all = known.length ? known.flat() : rows.flatMap((row) => model.classes.map((name) => valueOf(model, row, name)));
  return [Math.min(...all), Math.max(...all)];
}

function scaleOf(model, rows, name) {
  if (model.scales[name]) return model.scales[name];
  const all = rows.map((row) => valueOf(model, row, name));
  return [Math.min(...all), Math.max(...all)];
}

function meanOf(model, rows) {
  return Object.fromEntries(shownBy(model).map((name) => [columnOf(model, name), rows.reduce((sum, row) => sum + valueOf(model, row, name), 0) / rows.length]));
}

function show(model, shown, whole, timeline, window) {
  const rows = timeline.rows.filter((row) => !row.error);
  const row = whole ? whole.rows[0] : rows.length ? meanOf(model, rows) : null; // null: nothing was heard
  $("result").hidden = false;
  $("answer").textContent = row ? headline(model, row, whole) : "No answer";
  $("name").textContent = `${shown.file.name}${shown.duration === null ? "" : `, ${seconds(shown.duration)}`}${whole || !row ? "" : "; the mean of its windows"}`;
  const [low, high] = limitsOf(model, rows);
  const ranked = isDimensions(model) || !row ? model.classes : [...model.classes].sort((a, b) => valueOf(model, row, b) - valueOf(model, row, a));
  const values = row ? beside(model).map((name) => bar(model, name, valueOf(model, row, name), ...scaleOf(model, rows, name), row)) : [];
  $("bars").replaceChildren(...(row ? ranked : []).map((name) => bar(model, name, valueOf(model, row, name), low, high, row)), ...values);
  const said = [...(whole ? whole.notes : []), ...timeline.notes, ...(row ? [] : timeline.rows.slice(0, 1).map((one) => one.error))];
  const notes = [...new Set(said)]; // what is said of the whole may be said of its windows too
  $("notes").replaceChildren(...notes.map((note) => element("li", {}, note)));
  $("over-time").hidden = !rows.length;
  if (state.url) URL.revokeObjectURL(state.url);
  state.url = URL.createObjectURL(shown.file);
  $("sound").src = state.url;
  state.plot = { model, rows, low, high, samples: shown.samples, duration: shown.duration || (rows.length ? rows[rows.length - 1].end : 0), window };
  if (rows.length) {
    $("legend").replaceChildren(...model.classes.map((name, k) => legend(name, k)));
    $("caption").textContent = caption(model, rows, window);
    fillTable(model, rows);
    draw();
    $("moment").max = state.plot.duration;
    $("moment").value = 0;
    moment(0);
  }
  $("answer").focus();
}

function headline(model, row, whole) {
  const said = (names) => names.map((name) => `${name} ${valueOf(model, row, name).toFixed(2)}`).join(", ");
  if (isDimensions(model)) return said(model.classes);
  const more = beside(model).length ? `; ${said(beside(model))}` : "";
  if (whole) return (row.predicted ? `${row.predicted.replaceAll(";", ", ")}, ${percent(row.probability)}` : "no label is likely") + more;
  const [best, second] = [...model.classes].sort((a, b) => valueOf(model, row, b) - valueOf(model, row, a));
  if (valueOf(model, row, best) > 0.5 || second === undefined) return `mostly ${best}${more}`;
  return `mixed: ${[best, second].map((name) => `${name} ${percent(valueOf(model, row, name))}`).join(", ")}${more}`;
}

function bar(model, name, value, low, high, row) {
  const best = !isDimensions(model) && row.predicted ? row.predicted.split(";").includes(name) : false;
  const share = high > low ? Math.max(0, Math.min(1, (value - low) / (high - low))) : 0;
  const picture = drawn("svg", { viewBox: "0 0 100 12", preserveAspectRatio: "none", "aria-hidden": "true" });
  picture.append(drawn("rect", { class: "track", width: 100, height: 12 }));
  picture.append(drawn("rect", { class: `f${shownBy(model).indexOf(name) % COLOURS}`, width: 100 * share, height: 12 }));
  return element("li", best ? { class: "best" } : {}, element("span", {}, name), picture, element("span", {}, inWords(model, value, name)));
}

function legend(name, k) {
  const picture = drawn("svg", { viewBox: "0 0 28 10", "aria-hidden": "true" });
  picture.append(drawn("line", { x1: 0, x2: 28, y1: 5, y2: 5, class: `s${k % COLOURS}`, "stroke-width": 3, "stroke-dasharray": DASHES[k % DASHES.length] }));
  return element("li", {}, picture, element("span", {}, name));
}

function caption(model, rows, window) {
  const parts = isDimensions(model) ? [] : segments(rows).map((s) => `${s.says.replaceAll(";", " and ") || "no label"} from ${seconds(s.start)} to ${seconds(s.end)}`);
  const listed = parts.length > 8 ? `${parts.slice(0, 8).join("; ")}; and ${parts.length - 8} more` : parts.join("; ");
  return `${rows.length} ${rows.length === 1 ? "window" : "windows"} of ${seconds(window)}${listed ? `: ${listed}` : ""}.`;
}

const speakersOf = (rows) => [...new Set(rows.map((row) => row.speaker).filter((one) => one !== undefined))].sort((a, b) => a - b);

function segments(rows, saying = (row) => row.predicted || "") {
  // Each window stands for the time that is nearer to its middle than to that of another, within itself.
  const found = [];
  rows.forEach((row, k) => {
    const middle = (r) => (r.start + r.end) / 2;
    const start = k ? Math.max(row.start, (middle(rows[k - 1]) + middle(row)) / 2) : row.start;
    const end = k < rows.length - 1 ? Math.min(row.end, (middle(row) + middle(rows[k + 1])) / 2) : row.end;
    const last = found[found.length - 1];
    const says = saying(row);
    if (last && last.says === says && start - last.end < 1e-6) last.end = end;
    else found.push({ says, start, end });
  });
  return found;
}

function fillTable(model, rows) {
  const named = !isDimensions(model);
  const novel = rows.some((row) => row.novelty !== undefined); // above 1: unlike the training
  const told = speakersOf(rows).length > 0;
  const head = ["from (s)", "to (s)", ...(told ? ["speaker"] : []), ...(named ? ["answer"] : []), ...shownBy(model), ...(novel ? ["novelty"] : [])];
  const header = element("tr", {}, ...head.map((name) => element("th", { scope: "col", ...(name === "answer" ? { class: "word" } : {}) }, name)));
  const body = rows.map((row) => element("tr", {},
    element("td", {}, row.start.toFixed(2)), element("td", {}, row.end.toFixed(2)),
    ...(told ? [element("td", {}, String(row.speaker ?? ""))] : []),
    ...(named ? [element("td", { class: "word" }, (row.predicted || "").replaceAll(";", ", "))] : []),
    ...shownBy(model).map((name) => element("td", {}, inWords(model, valueOf(model, row, name), name))),
    ...(novel ? [element("td", {}, row.novelty === undefined ? "" : row.novelty.toFixed(2))] : [])));
  $("table").replaceChildren(element("thead", {}, header), element("tbody", {}, ...body));
}

function draw() {
  const plot = state.plot;
  if (!plot || !plot.rows.length) return;
  const { model, rows, low, high, samples, duration } = plot;
  const width = Math.max(260, $("plot").clientWidth);
  const left = 46, right = 8, wave = samples ? 84 : 0, strip = isDimensions(model) ? 0 : 26, lines = 190, lane = 16;
  const speakers = speakersOf(rows);
  const top = wave + strip + lane * speakers.length + 14;
  const height = top + lines + 26;
  const x = (time) => left + ((width - left - right) * time) / duration;
  const y = (value) => top + lines * (1 - (value - low) / (high - low || 1));
  const picture = drawn("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-labelledby": "caption" });
  if (samples) picture.append(drawn("path", { class: "wave", d: outline(samples, Math.round(width - left - right), left, wave) }));
  if (strip) {
    for (const s of segments(rows)) {
      const k = model.classes.indexOf(s.says.split(";")[0]);
      if (k < 0) continue;
      picture.append(drawn("rect", { class: `f${k % COLOURS}`, x: x(s.start), y: wave + 2, width: Math.max(1, x(s.end) - x(s.start) - 1), height: strip - 4, rx: 3 }));
      if (x(s.end) - x(s.start) > 8 * s.says.length + 10) {
        picture.append(drawn("text", { class: "in", x: (x(s.start) + x(s.end)) / 2, y: wave + strip / 2 + 4, "text-anchor": "middle" }, s.says));
      }
    }
  }
  speakers.forEach((speaker, k) => {
    const at = wave + strip + lane * k;
    picture.append(drawn("text", { x: left - 6, y: at + 12, "text-anchor": "end" }, `sp. ${speaker}`));
    for (const s of segments(rows, (row) => row.speaker).filter((one) => one.says === speaker)) {
      picture.append(drawn("rect", { class: "who", x: x(s.start), y: at + 3, width: Math.max(1, x(s.end) - x(s.start) - 1), height: lane - 6, rx: 3 }));
    }
  });
  for (let k = 0; k <= 4; k++) {
    const value = low + ((high - low) * k) / 4;
    picture.append(drawn("line", { class: "grid", x1: left, x2: width - right, y1: y(value), y2: y(value) }));
    picture.append(drawn("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, isDimensions(model) ? value.toFixed(1) : `${25 * k} %`));
  }
  const every = tick(duration, (width - left - right) / 56);
  for (let time = 0; time <= duration + 1e-9; time += every) {
    picture.append(drawn("text", { x: Math.min(x(time), width - right - 10), y: height - 6, "text-anchor": "middle" }, `${Number(time.toFixed(2))} s`));
  }
  const far = 1.6 * usual(rows); // s between two windows that have a silent one between them
  model.classes.forEach((name, c) => {
    let path = "";
    rows.forEach((row, k) => {
      const height = y(valueOf(model, row, name)).toFixed(1);
      const opens = !k || row.start - rows[k - 1].start > far;
      const closes = k === rows.length - 1 || rows[k + 1].start - row.start > far;
      if (opens) path += `M${x(row.start).toFixed(1)} ${height}`;
      path += `L${x((row.start + row.end) / 2).toFixed(1)} ${height}`;
      if (closes) path += `L${x(row.end).toFixed(1)} ${height}`;
    });
    picture.append(drawn("path", { class: `line s${c % COLOURS}`, d: path, "stroke-dasharray": DASHES[c % DASHES.length] }));
  });
  const play = drawn("line", { class: "play", y1: 0, y2: top + lines, x1: x(0), x2: x(0) });
  picture.append(play);
  plot.move = (time) => { play.setAttribute("x1", x(time)); play.setAttribute("x2", x(time)); };
  picture.addEventListener("click", (event) => {
    const place = event.clientX - picture.getBoundingClientRect().left;
    seek(Math.max(0, Math.min(duration, ((place - left) / (width - left - right)) * duration)));
  });
  $("plot").replaceChildren(picture);
  plot.move(Number($("moment").value));
}

function usual(rows) {
  const steps = rows.slice(1).map((row, k) => row.start - rows[k].start).sort((a, b) => a - b);
  return steps.length ? steps[Math.floor(steps.length / 2)] : 0;
}

function tick(duration, most) {
  const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600];
  return steps.find((step) => duration / step <= most) || duration;
}

function outline(samples, columns, left, height) {
  const peak = samples.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-6);
  const per = samples.length / columns;
  const upper = [], lower = [];
  for (let c = 0; c < columns; c++) {
    let low = 0, high = 0;
    for (let k = Math.floor(c * per); k < (c + 1) * per && k < samples.length; k++) {
      low = Math.min(low, samples[k]);
      high = Math.max(high, samples[k]);
    }
    const place = (value) => (height / 2 - (value / peak) * (height / 2 - 4)).toFixed(1);
    upper.push(`${left + c} ${place(high)}`);
    lower.unshift(`${left + c} ${Number(place(low)) + 0.6}`);
  }
  return `M${upper.join("L")}L${lower.join("L")}Z`;
}

function moment(time) {
  const { model, rows, move } = state.plot;
  const row = rows.reduce((a, b) => (Math.abs((b.start + b.end) / 2 - time) < Math.abs((a.start + a.end) / 2 - time) ? b : a));
  const ranked = isDimensions(model) ? model.classes : [...model.classes].sort((a, b) => valueOf(model, row, b) - valueOf(model, row, a)).slice(0, 3);
  const who = row.speaker === undefined ? "" : `, speaker ${row.speaker}`;
  $("readout").textContent = `${seconds(time)}${who}: ${[...ranked, ...beside(model)].map((name) => `${name} ${inWords(model, valueOf(model, row, name), name)}`).join(", ")}`;
  $("moment").setAttribute("aria-valuetext", $("readout").textContent);
  if (move) move(time);
}

function seek(time) {
  $("moment").value = time;
  $("sound").currentTime = time;
  moment(time);
}

// --- what the user does --------------------------------------------------------------------------------------------------

function theme(name) {
  document.documentElement.dataset.theme = name;
  $("theme").textContent = name === "dark" ? "Light" : "Dark";
}

theme(localStorage.getItem("theme") || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"));
$("theme").addEventListener("click", () => {
  const other = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  localStorage.setItem("theme", other);
  theme(other);
});
$("lock").addEventListener("submit", (event) => {
  event.preventDefault();
  state.token = $("token").value.trim();
  sessionStorage.setItem("token", state.token);
  start();
});
$("record").addEventListener("click", record);
$("file").addEventListener("change", () => {
  if ($("file").files.length) take($("file").files[0]);
  $("file").value = "";
});
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    $("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop" && event.dataTransfer.files.length) take(event.dataTransfer.files[0]);
  });
}
$("model").addEventListener("change", () => { describe(); ask(); });
$("window").addEventListener("change", ask);
$("speakers").addEventListener("change", ask);
$("moment").addEventListener("input", () => seek(Number($("moment").value)));
$("sound").addEventListener("timeupdate", () => {
  if (state.plot && state.plot.rows.length && !$("sound").paused) {
    $("moment").value = $("sound").currentTime;
    moment($("sound").currentTime);
  }
});
new ResizeObserver(draw).observe($("plot"));
start();
