// Opens reports in a real browser and looks at them as a reader would.
//
//   node check.mjs [--shots DIR] REPORT.html ...
//
// For each report, at 1280 and at 390 pixels, in light and in dark: nothing is requested from
// anywhere, nothing is said in the console, every figure and diagram is drawn and not blank, nothing
// is wider than the page, the keyboard reaches everything, data can be downloaded. Ends with 1 and
// says what is wrong, if anything is.
import { chromium } from "playwright-core";
import { existsSync, mkdirSync, statSync, readFileSync } from "node:fs";
import { basename, dirname, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const CHROMIUM = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const MOST_BYTES = 1_500_000;
const words = process.argv.slice(2);
const shots = words[0] === "--shots" ? words.splice(0, 2)[1] : null;
const wrong = [];

const executablePath = CHROMIUM.find((path) => existsSync(path));
if (!executablePath) {
  console.error("no Chromium found: apt-get install chromium");
  process.exit(1);
}
const browser = await chromium.launch({
  executablePath,
  args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"],
});

// How many colours a picture of the element has: one or two are a blank.
async function colours(page, locator) {
  const picture = (await locator.screenshot()).toString("base64");
  return page.evaluate(async (data) => {
    const image = new Image();
    image.src = "data:image/png;base64," + data;
    await image.decode();
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [image.width, image.height];
    const context = canvas.getContext("2d");
    context.drawImage(image, 0, 0);
    const pixels = context.getImageData(0, 0, image.width, image.height).data;
    const seen = new Set();
    for (let at = 0; at < pixels.length; at += 4) seen.add((pixels[at] << 16) | (pixels[at + 1] << 8) | pixels[at + 2]);
    return seen.size;
  }, picture);
}

async function look(file, width, colorScheme) {
  const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme, acceptDownloads: true });
  const page = await context.newPage();
  const where = `${basename(dirname(file))}/${basename(file)} at ${width} px, ${colorScheme}`;
  const complain = (what) => wrong.push(`${where}: ${what}`);
  page.on("console", (message) => complain(`console: ${message.text()}`));
  page.on("pageerror", (error) => complain(`error: ${error.message}`));
  page.on("request", (request) => {
    if (!/^(file|data|blob):/.test(request.url()) || (request.url().startsWith("file:") && !request.isNavigationRequest())) {
      complain(`request to ${request.url()}`);
    }
  });
  await page.goto(pathToFileURL(file).href);
  await page.waitForSelector("html[data-ready=yes]", { timeout: 30_000 }).catch(() => complain("figures are not drawn in 30 s"));
  if (shots) {
    mkdirSync(shots, { recursive: true });
    const name = `${basename(dirname(file))}-${width}-${colorScheme}.png`;
    await page.screenshot({ path: resolve(shots, name), fullPage: true });
  }
  const plots = page.locator(".plot"), diagrams = page.locator(".diagram");
  const promised = await page.evaluate(() => Object.keys(JSON.parse(document.getElementById("figures").textContent)).length);
  if (await plots.count() !== promised) complain(`${await plots.count()} figures stand for ${promised}`);
  if (promised === 0) complain("it has no figure");
  for (const [kind, all] of [["figure", plots], ["diagram", diagrams]]) {
    for (let at = 0; at < await all.count(); at += 1) {
      const one = all.nth(at);
      const name = (await one.getAttribute("data-figure")) ?? `diagram ${at}`;
      if (await one.locator("svg, canvas").count() === 0) complain(`${kind} ${name} is not drawn`);
      else if (await colours(page, one) < 8) complain(`${kind} ${name} is blank`);
    }
  }
  const scrolls = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  if (scrolls > 1) complain(`the page is ${scrolls} px wider than the window`);
  if (width > 1000 && colorScheme === "light") await useKeyboard(page, complain);
  await context.close();
  return promised;
}

// Tab from the top: the way into the report, the sections, a node of the deployment, a download.
async function useKeyboard(page, complain) {
  const reached = new Set();
  const wanted = await page.evaluate(() => document.querySelectorAll("a, button, summary, [tabindex='0']").length);
  await page.evaluate(() => document.body.focus());
  for (let step = 0; step < wanted + 5; step += 1) {
    await page.keyboard.press("Tab");
    const on = await page.evaluate(() => {
      const focus = document.activeElement;
      if (!focus || focus === document.body) return null;
      return [focus.tagName.toLowerCase(), focus.className.baseVal ?? focus.className, focus.dataset.save ?? ""].join(" ");
    });
    if (on) reached.add(on.trim());
  }
  for (const kind of ["a skip", "a", "button  csv", "button  vl", "summary"]) {
    if (![...reached].some((on) => on === kind)) complain(`the keyboard does not reach: ${kind}`);
  }
  if (await page.locator(".diagram").count() > 0 && ![...reached].some((on) => on.startsWith("g node"))) {
    complain("the keyboard does not reach the nodes of the diagram");
  }
  const filters = page.locator(".filters button");
  if (await filters.count() > 1) {
    const rows = () => page.locator("table[data-filter] tbody tr:visible").count();
    const before = await rows();
    await filters.nth(1).focus();
    await page.keyboard.press("Enter");
    const after = await rows();
    if (after === 0 || after >= before) complain(`a filter leaves ${after} of ${before} rows`);
  }
  const summary = page.locator("summary").first();
  await summary.focus();
  await page.keyboard.press("Enter");
  await page.waitForSelector("details[open] table", { timeout: 5_000 }).catch(() => complain("Enter does not open the numbers"));
  const button = page.locator("button[data-save=csv]").first();
  await button.focus();
  const [download] = await Promise.all([page.waitForEvent("download", { timeout: 5_000 }), page.keyboard.press("Enter")]);
  const text = readFileSync(await download.path(), "utf8");
  if (text.split("\n").length < 3) complain("the downloaded data are empty");
}

for (const word of words) {
  const file = resolve(word);
  const bytes = statSync(file).size;
  if (bytes > MOST_BYTES) wrong.push(`${word}: ${bytes} bytes, more than ${MOST_BYTES}`);
  let figures = 0;
  for (const [width, scheme] of [[1280, "light"], [1280, "dark"], [390, "light"], [390, "dark"]]) {
    figures = await look(file, width, scheme);
  }
  console.log(`${word}: ${bytes} bytes, ${figures} figures`);
}
await browser.close();
if (wrong.length > 0) {
  console.error(wrong.join("\n"));
  console.error(`${words.length} reports, ${wrong.length} faults`);
  process.exit(1);
}
console.log(`all ${words.length} reports are drawn`);
