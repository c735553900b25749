"use strict";

// Shows pairs of meshes which are turned together. One WebGL context draws all of them, since
// browsers allow only a few: each picture is drawn there and copied to a canvas of its own, only
// when something changed and only while it is on the screen.
//
// World, cameras and light are those of the prepared data: y up, left-handed, the eye of azimuth a
// and elevation e at distance * (cos e sin a, sin e, -cos e cos a).

const VERTEX_SHADER = `#version 300 es
in vec3 position;
in vec3 color;
uniform float extent;
uniform mat3 rotation;
uniform float eyeDistance;
uniform vec2 lens; // focal length over half the width and half the height
uniform vec2 depths; // nearest and farthest
out vec3 place;
out vec3 shade;
void main() {
  place = (2.0 * position - 1.0) * extent;
  shade = color;
  vec3 view = rotation * place + vec3(0.0, 0.0, eyeDistance);
  float range = depths.y - depths.x;
  float depth = (view.z * (depths.x + depths.y) - 2.0 * depths.x * depths.y) / range;
  gl_Position = vec4(lens * view.xy, depth, view.z);
}`;

const FRAGMENT_SHADER = `#version 300 es
precision highp float;
in vec3 place;
in vec3 shade;
uniform vec3 eye;
uniform vec3 light; // towards it
uniform float ambient; // 1 is no light at all
out vec4 result;
void main() {
  vec3 normal = normalize(cross(dFdx(place), dFdy(place)));
  if (dot(normal, eye - place) < 0.0) normal = -normal;
  float bright = ambient + (1.0 - ambient) * max(dot(normal, light), 0.0);
  result = vec4(shade * bright, 1.0);
  // Of two faces in one place, turned to opposite sides, the one towards the eye is seen.
  gl_FragDepth = gl_FragCoord.z + (gl_FrontFacing ? 0.0 : 2e-5);
}`;

const LIGHT = [0.324443, 0.811107, -0.486664];
const AMBIENT = 0.5;
const GREY = [158, 168, 184];
const DEGREE = Math.PI / 180;
const STEEPEST = 89.9;
const MOST_PIXELS = 2; // canvas pixels per page pixel, at most

function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}

// Corners of triangles, one after the other: positions as 16 bits, colours as 8.
function unpackShape(shape, sharedFaces) {
  const vertices = new Uint16Array(bytesOf(shape.positions).buffer);
  let order = null;
  if (shape.faces !== null) {
    const { bytes, indices } = sharedFaces[shape.faces];
    const raw = bytesOf(indices).buffer;
    order = bytes === 2 ? new Uint16Array(raw) : new Uint32Array(raw);
  }
  const count = order === null ? vertices.length / 3 : order.length;
  const painted = shape.colors === null ? null : bytesOf(shape.colors);
  const positions = new Uint16Array(3 * count);
  const colors = new Uint8Array(3 * count);
  for (let corner = 0; corner < count; corner += 1) {
    const vertex = order === null ? corner : order[corner];
    const row = shape.colorsOf === "face" ? Math.floor(corner / 3) : vertex;
    for (let k = 0; k < 3; k += 1) {
      positions[3 * corner + k] = vertices[3 * vertex + k];
      colors[3 * corner + k] = painted === null ? GREY[k] : painted[3 * row + k];
    }
  }
  return { count, positions, colors };
}

function orbitAxes(azimuth, elevation) {
  const [sa, ca] = [Math.sin(azimuth * DEGREE), Math.cos(azimuth * DEGREE)];
  const [se, ce] = [Math.sin(elevation * DEGREE), Math.cos(elevation * DEGREE)];
  return { right: [ca, 0, sa], up: [-se * sa, ce, se * ca], forward: [-ce * sa, -se, ce * ca] };
}

class Painter {
  constructor() {
    this.canvas = document.createElement("canvas");
    this.gl = this.canvas.getContext("webgl2", { antialias: true });
    if (this.gl === null) throw new Error("this browser has no WebGL 2");
    this.canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
    this.prepare();
  }

  prepare() {
    const gl = this.gl;
    const program = gl.createProgram();
    for (const [kind, source] of [
      [gl.VERTEX_SHADER, VERTEX_SHADER],
      [gl.FRAGMENT_SHADER, FRAGMENT_SHADER],
    ]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.bindAttribLocation(program, 0, "position");
    gl.bindAttribLocation(program, 1, "color");
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS) && !gl.isContextLost()) {
      throw new Error(`the shaders cannot be used: ${gl.getProgramInfoLog(program)}`);
    }
    gl.useProgram(program);
    gl.enable(gl.DEPTH_TEST);
    this.meshes = new Map();
    this.uniforms = {};
    for (const name of "extent rotation eyeDistance lens depths eye light ambient".split(" ")) {
      this.uniforms[name] = gl.getUniformLocation(program, name);
    }
  }

  // The buffers of a shape, made when it is drawn for the first time.
  mesh(shape, sharedFaces) {
    if (!this.meshes.has(shape)) {
      const gl = this.gl;
      const { count, positions, colors } = unpackShape(shape, sharedFaces);
      const array = gl.createVertexArray();
      gl.bindVertexArray(array);
      [[positions, gl.UNSIGNED_SHORT], [colors, gl.UNSIGNED_BYTE]].forEach(([data, type], slot) => {
        gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
        gl.bufferData(gl.ARRAY_BUFFER, data, gl.STATIC_DRAW);
        gl.enableVertexAttribArray(slot);
        gl.vertexAttribPointer(slot, 3, type, true, 0, 0);
      });
      this.meshes.set(shape, { array, count });
    }
    return this.meshes.get(shape);
  }

  // Draws a shape and copies it to a canvas of that size.
  draw(shape, sharedFaces, camera, colored, target) {
    const gl = this.gl;
    const { width, height } = target;
    if (this.canvas.width < width) this.canvas.width = width;
    if (this.canvas.height < height) this.canvas.height = height;
    gl.viewport(0, 0, width, height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    this.setUniforms(shape, camera, colored, width, height);
    const { array, count } = this.mesh(shape, sharedFaces);
    gl.bindVertexArray(array);
    if (!colored) gl.disableVertexAttribArray(1);
    else gl.enableVertexAttribArray(1);
    gl.vertexAttrib3f(1, ...GREY.map((value) => value / 255));
    gl.drawArrays(gl.TRIANGLES, 0, count);
    const context = target.getContext("2d");
    context.clearRect(0, 0, width, height);
    const top = this.canvas.height - height;
    context.drawImage(this.canvas, 0, top, width, height, 0, 0, width, height);
  }

  setUniforms(shape, camera, colored, width, height) {
    const { gl, uniforms } = this;
    const { right, up, forward } = orbitAxes(camera.azimuth, camera.elevation);
    const columns = [0, 1, 2].flatMap((k) => [right[k], up[k], forward[k]]);
    const reach = shape.extent * Math.sqrt(3);
    const focal = camera.zoom / Math.tan((camera.fov * DEGREE) / 2);
    const side = Math.min(width, height);
    gl.uniform1f(uniforms.extent, shape.extent);
    gl.uniformMatrix3fv(uniforms.rotation, false, columns);
    gl.uniform1f(uniforms.eyeDistance, camera.distance);
    gl.uniform2f(uniforms.lens, (focal * side) / width, (focal * side) / height);
    gl.uniform2f(uniforms.depths, Math.max(camera.distance - reach, 0.01), camera.distance + reach);
    gl.uniform3fv(uniforms.eye, forward.map((value) => -camera.distance * value));
    gl.uniform3fv(uniforms.light, LIGHT);
    gl.uniform1f(uniforms.ambient, colored && !shape.lit ? 1 : AMBIENT);
  }
}

// The canvases of one object.
class Pair {
  constructor(element, entry, gallery) {
    this.element = element;
    this.gallery = gallery;
    this.start = { ...entry.camera, zoom: 1 };
    this.camera = { ...this.start };
    this.views = [...element.querySelectorAll("canvas")].map((canvas) => ({
      canvas,
      shape: entry[canvas.dataset.shape],
    }));
    this.visible = false;
    this.fingers = new Map();
    this.listen();
  }

  listen() {
    const on = (name, action, options) => this.element.addEventListener(name, action, options);
    on("pointerdown", (event) => this.touch(event));
    on("pointermove", (event) => this.drag(event));
    for (const name of ["pointerup", "pointercancel"]) {
      on(name, (event) => this.fingers.delete(event.pointerId));
    }
    on("dblclick", () => this.reset());
    on("keydown", (event) => this.press(event));
    // The wheel alone scrolls the page.
    on("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      this.gallery.change(this, { zoom: Math.exp(-event.deltaY / 300) });
    }, { passive: false });
  }

  touch(event) {
    if (!event.isPrimary || event.button !== 0) return;
    this.element.setPointerCapture(event.pointerId);
    this.fingers.set(event.pointerId, [event.clientX, event.clientY]);
  }

  drag(event) {
    const before = this.fingers.get(event.pointerId);
    if (before === undefined) return;
    this.fingers.set(event.pointerId, [event.clientX, event.clientY]);
    const [x, y] = [event.clientX - before[0], event.clientY - before[1]];
    this.gallery.change(this, { azimuth: -x / 2, elevation: y / 2 });
  }

  press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = {
      ArrowLeft: { azimuth: 10 },
      ArrowRight: { azimuth: -10 },
      ArrowUp: { elevation: 10 },
      ArrowDown: { elevation: -10 },
      "+": { zoom: 1.15 },
      "-": { zoom: 1 / 1.15 },
    }[event.key];
    if (step !== undefined) this.gallery.change(this, step);
    else if (event.key === "0") this.reset();
    else return;
    event.preventDefault();
  }

  move({ azimuth = 0, elevation = 0, zoom = 1 }) {
    const camera = this.camera;
    camera.azimuth = (camera.azimuth + azimuth) % 360;
    const steep = Math.max(STEEPEST, Math.abs(this.start.elevation));
    camera.elevation = Math.min(Math.max(camera.elevation + elevation, -steep), steep);
    camera.zoom = Math.min(Math.max(camera.zoom * zoom, 0.3), 8);
    this.gallery.ask(this);
  }

  reset() {
    this.camera = { ...this.start };
    this.gallery.ask(this);
  }

  show(visible) {
    this.visible = visible;
    if (visible) this.gallery.ask(this);
    // What is far from the screen needs no memory.
    else for (const { canvas } of this.views) canvas.width = canvas.height = 0;
  }

  draw(painter, sharedFaces, colored) {
    const dense = Math.min(window.devicePixelRatio || 1, MOST_PIXELS);
    for (const { canvas, shape } of this.views) {
      const width = Math.round(canvas.clientWidth * dense);
      const height = Math.round(canvas.clientHeight * dense);
      if (width === 0 || height === 0) continue;
      if (canvas.width !== width) canvas.width = width;
      if (canvas.height !== height) canvas.height = height;
      painter.draw(shape, sharedFaces, this.camera, colored, canvas);
    }
  }
}

class Gallery {
  constructor(content, elements) {
    this.painter = new Painter();
    this.faces = content.faces;
    this.colored = true;
    this.linked = false;
    this.waiting = new Set();
    this.pairs = elements.map((one) => new Pair(one, content.objects[one.dataset.object], this));
    const byElement = new Map(this.pairs.map((pair) => [pair.element, pair]));
    const watch = new IntersectionObserver((entries) => {
      for (const entry of entries) byElement.get(entry.target).show(entry.isIntersecting);
    }, { rootMargin: "200px" });
    elements.forEach((one) => watch.observe(one));
    const resized = new ResizeObserver((entries) => {
      for (const entry of entries) this.ask(byElement.get(entry.target));
    });
    elements.forEach((one) => resized.observe(one));
    this.painter.canvas.addEventListener("webglcontextrestored", () => {
      this.painter.prepare();
      this.askAll();
    });
  }

  change(pair, step) {
    for (const one of this.linked ? this.pairs : [pair]) one.move(step);
  }

  askAll() {
    this.pairs.forEach((pair) => this.ask(pair));
  }

  // Draws a pair before the next picture of the page, once, if it is on the screen.
  ask(pair) {
    if (!pair.visible) return;
    if (this.waiting.size === 0) requestAnimationFrame(() => this.drawWaiting());
    this.waiting.add(pair);
  }

  drawWaiting() {
    const pairs = [...this.waiting];
    this.waiting.clear();
    for (const pair of pairs) {
      if (pair.visible) pair.draw(this.painter, this.faces, this.colored);
    }
  }
}
