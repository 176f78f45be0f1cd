// Calls of the sandbox server. A refused deed throws a Refusal with the server's words.

export class Refusal extends Error {}

async function read(response) {
  const body = await response.json();
  if (!response.ok) throw new Refusal(body.error ?? String(response.status));
  return body;
}

export async function ask(path, query = {}, options = {}) {
  const search = new URLSearchParams(query);
  return read(await fetch(`/sandbox/${path}?${search}`, options));
}

export async function tell(path, body) {
  const headers = { "Content-Type": "application/json" };
  return read(
    await fetch(`/sandbox/${path}`, { method: "POST", headers, body: JSON.stringify(body) }),
  );
}

/** Sends files; `progress` gets a share from 0 to 1, `signal` stops it. */
export function upload(options, files, progress, signal) {
  const form = new FormData();
  form.append("options", JSON.stringify(options));
  files.forEach((file, index) => form.append(`file${index}`, file, "file"));
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", "/sandbox/say");
    request.responseType = "json";
    request.upload.onprogress = (event) => progress(event.total ? event.loaded / event.total : 0);
    request.onload = () => {
      if (request.status < 400) resolve(request.response);
      else reject(new Refusal(request.response?.error ?? String(request.status)));
    };
    request.onerror = () => reject(new Refusal("the sandbox does not answer"));
    request.onabort = () => reject(new DOMException("stopped", "AbortError"));
    signal.addEventListener("abort", () => request.abort());
    request.send(form);
  });
}

export function fileUrl(fileId, { save = false } = {}) {
  return `/sandbox/files/${encodeURIComponent(fileId)}${save ? "?save=1" : ""}`;
}
