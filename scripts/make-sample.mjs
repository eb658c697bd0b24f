// Makes the sample database of `tercet dev`: public holidays of the world, as one compressed file of JSON lines.
//
// Done once at build time, because the package that knows the holidays is twenty times as large as its result and nobody
// who only uses Tercet should have to install it. The file covers more years than `dev` shows, so that a published
// package stays useful; it is made again when the years run out or the source changes.
//
// Source and licence: see NOTICE.
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const directory = fileURLToPath(new URL('../dist/sample/', import.meta.url));
const target = `${directory}calendar.ndjson.gz`;
const about = `${directory}calendar.json`;
const thisYear = new Date().getFullYear();
const years = [-1, 0, 1, 2, 3].map((offset) => thisYear + offset);
const source = `date-holidays ${createRequire(import.meta.url)('date-holidays/package.json').version}`;

if (!isUpToDate()) make();

function isUpToDate() {
  if (!existsSync(target) || !existsSync(about)) return false;
  const made = JSON.parse(readFileSync(about, 'utf8'));
  return made.source === source && made.years.includes(thisYear - 1) && made.years.includes(thisYear + 1);
}

async function make() {
  const { default: Holidays } = await import('date-holidays');
  const countries = Object.entries(new Holidays().getCountries('en')).sort(([left], [right]) =>
    left < right ? -1 : 1,
  );
  const events = new Map();
  for (const [index, [country, countryName]] of countries.entries()) {
    tell(`Making the sample calendar: country ${index + 1} of ${countries.length}`);
    const calendar = new Holidays(country);
    for (const year of years) {
      const namesOf = namesIn(Holidays, { calendar, country, year });
      for (const holiday of calendar.getHolidays(year)) {
        const event = eventOf(holiday, { country, countryName, name: namesOf(holiday) });
        if (!events.has(event._id)) events.set(event._id, event);
      }
    }
  }
  const lines = [...events.values()].map((event) => JSON.stringify(event)).join('\n');
  mkdirSync(directory, { recursive: true });
  writeFileSync(`${target}.new`, gzipSync(lines, { level: 9 }));
  renameSync(`${target}.new`, target);
  const attribution =
    'Public holidays from date-holidays, which relies on Wikipedia; CC BY-SA 3.0, see NOTICE';
  writeFileSync(about, `${JSON.stringify({ source, years, events: events.size, attribution }, null, 2)}\n`);
  tell(
    `Making the sample calendar: ${events.size.toLocaleString('en')} public holidays of ${countries.length} countries, ` +
      `${years[0]} to ${years.at(-1)}, of which "tercet dev" loads the three years around now\n`,
  );
}

// The same day has the same rule in every language; only its name differs.
function namesIn(Holidays, { calendar, country, year }) {
  const names = new Map();
  const keyOf = ({ date, type, rule }) => `${date} ${type} ${rule}`;
  // Asking in a language changes what a calendar answers later, so each language has a calendar of its own.
  for (const language of new Set(['en', ...calendar.getLanguages()])) {
    for (const holiday of new Holidays(country).getHolidays(year, language)) {
      const known = names.get(keyOf(holiday)) ?? {};
      // Where a translation is missing the source gives the English name: that is none.
      if (known.en !== holiday.name) names.set(keyOf(holiday), { ...known, [language]: holiday.name });
    }
  }
  return (holiday) => names.get(keyOf(holiday)) ?? { en: holiday.name };
}

function eventOf(holiday, { country, countryName, name }) {
  const date = holiday.date.slice(0, 10);
  return {
    _id: `${date}~${country}~${holiday.name}`,
    kind: 'holiday',
    date,
    days: Math.max(1, Math.round((holiday.end - holiday.start) / 86_400_000)),
    country,
    countryName,
    name,
    type: holiday.type,
    rule: holiday.rule,
    ...(holiday.substitute ? { substitute: true } : {}),
    ...(holiday.note ? { note: holiday.note } : {}),
  };
}

function tell(message) {
  if (process.stderr.isTTY) process.stderr.write(`\r${message}`);
  else if (message.endsWith('\n')) process.stderr.write(message);
}
