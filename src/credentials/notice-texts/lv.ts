import type { NoticeTexts } from '../notice-texts.ts';

const revoke = (url: string) => `Ja tas nebijāt jūs, nekavējoties anulējiet šo paroli: ${url}`;
const look = (url: string) =>
  `Ja tas nebijāt jūs, nomainiet savu paroli, paziņojiet administratoram un pārbaudiet savu kontu: ${url}`;

export const lv: NoticeTexts = {
  locale: 'lv',
  sender: 'Konta drošība',
  scopes: {
    imap: 'lasīt pastu (IMAP)',
    pop3: 'lasīt pastu (POP3)',
    smtp: 'sūtīt pastu (SMTP)',
    'legacy-tls': 'novecojusi šifrēšana',
  },
  methods: {
    totp: 'Autentifikatora lietotne',
    passkey: 'Piekļuves atslēga vai drošības atslēga',
    email: 'Kods uz citu e-pasta adresi',
    recovery: 'Atkopšanas kodi',
  },
  none: 'nav',
  fromAddress: (address) => ` (no adreses ${address})`,
  byAdministrator: ' (darbību veica administrators)',
  secondCopy: 'Šī ir otrā kopija, kas nosūtīta dienu pēc pirmās.',
  footer: (hostname) =>
    `Šo ziņojumu automātiski nosūtīja ${hostname}. Atbalsta darbinieki nekad neprasīs jūsu paroli.`,
  kinds: {
    'app-password-created': {
      subject: ({ label }) => `Jauna lietotnes parole: ${label}`,
      body: ({ address, when, who, scopes, url }) => [
        `${when} kontam ${address} tika izveidota lietotnes parole${who}. Atļauts: ${scopes}.`,
        `Ja to neizveidojāt jūs, nekavējoties anulējiet šo paroli: ${url}`,
      ],
    },
    'app-password-first-used': {
      subject: ({ label }) => `Lietotnes parole izmantota pirmo reizi: ${label}`,
      body: ({ address, when, label, source, client, url }) => [
        `${when} pirmo reizi tika izmantota konta ${address} lietotnes parole „${label}” (no ${source}).${
          client === '' ? '' : ` Lietotnes nosaukums: ${client}.`
        }`,
        revoke(url),
      ],
    },
    'app-password-revoked': {
      subject: ({ label }) => `Lietotnes parole anulēta: ${label}`,
      body: ({ address, when, who, label, url }) => [
        `${when} tika anulēta konta ${address} lietotnes parole „${label}”${who}.`,
        look(url),
      ],
    },
    'app-passwords-revoked': {
      subject: ({ count }) => `Anulētās lietotņu paroles: ${count}`,
      body: ({ address, when, who, count, url }) => [
        `${when} tika anulētas konta ${address} lietotņu paroles${who}. Skaits: ${count}.`,
        look(url),
      ],
    },
    'factor-added': {
      subject: ({ method }) => `Pievienota verifikācijas metode: ${method}`,
      body: ({ address, when, who, method, url }) => [
        `${when} kontam ${address} tika pievienota verifikācijas metode${who}: ${method}.`,
        look(url),
      ],
    },
    'factor-removed': {
      subject: ({ method }) => `Noņemta verifikācijas metode: ${method}`,
      body: ({ address, when, who, method, url }) => [
        `${when} no konta ${address} tika noņemta verifikācijas metode${who}: ${method}.`,
        look(url),
      ],
    },
    'factor-disabled': {
      subject: ({ method }) => `Izslēgta verifikācijas metode: ${method}`,
      body: ({ address, when, who, method, url }) => [
        `${when} kontam ${address} tika izslēgta verifikācijas metode${who}: ${method}. Tā tiek izslēgta automātiski, ja pārāk daudz reižu ievadīts nepareizs kods.`,
        look(url),
      ],
    },
    'factor-reset': {
      subject: ({ method }) => `Atiestatīta verifikācijas metode: ${method}`,
      body: ({ address, when, who, method, url }) => [
        `${when} kontam ${address} tika atiestatīta verifikācijas metode${who}: ${method}.`,
        look(url),
      ],
    },
    'passkey-copied': {
      subject: () => 'Piekļuves atslēga, iespējams, ir nokopēta',
      body: ({ address, when, who, url }) => [
        `${when} kontam ${address} izmantota piekļuves atslēga, kuras skaitītājs jau bija lietots${who}. Iespējams, kāds to ir nokopējis. Noņemiet to un izveidojiet jaunu.`,
        look(url),
      ],
    },
    'factors-reset': {
      subject: () => 'Atiestatītas verifikācijas metodes',
      body: ({ address, when, who, url }) => [
        `${when} no konta ${address} tika noņemtas visas verifikācijas metodes${who}. Nākamajā pierakstīšanās reizē būs jāiestata jauna.`,
        look(url),
      ],
    },
    'recovery-codes-created': {
      subject: () => 'Jauni atkopšanas kodi',
      body: ({ address, when, who, url }) => [
        `${when} kontam ${address} tika izveidoti jauni atkopšanas kodi${who}. Vecie kodi vairs nav derīgi.`,
        look(url),
      ],
    },
    'recovery-code-used': {
      subject: () => 'Izmantots atkopšanas kods',
      body: ({ address, when, who, count, url }) => [
        `${when} kontam ${address} tika izmantots atkopšanas kods${who}. Atlikušie atkopšanas kodi: ${count}.`,
        look(url),
      ],
    },
    'alternate-address-changed': {
      subject: () => 'Mainīta alternatīvā e-pasta adrese',
      body: ({ address, when, who, old, new: now, url }) => [
        `${when} kontam ${address} tika mainīta alternatīvā e-pasta adrese${who}. Iepriekšējā: ${old}. Jaunā: ${now}.`,
        look(url),
      ],
    },
    'factors-guessed': {
      subject: () => 'Iespējams, kāds zina jūsu paroli',
      body: ({ address, when, who, url }) => [
        `${when} kāds ievadīja pareizo konta ${address} paroli un pēc tam piecas reizes nepareizu verifikācijas kodu${who}. Piekļuve netika piešķirta.`,
        look(url),
      ],
    },
    'many-changes': {
      subject: () => 'Citas izmaiņas jūsu kontā',
      body: ({ address, url }) => [
        `Stundas laikā kontā ${address} notika vairāk izmaiņu, nekā ziņojam pa vienai. Visas izmaiņas: ${url}`,
      ],
    },
  },
  code: {
    subject: (code) => `Jūsu verifikācijas kods: ${code}`,
    body: (until) => [
      `Ievadiet to lapā, kurā to pieprasījāt. Tas ir derīgs līdz plkst. ${until}.`,
      'Ja kodu nepieprasījāt, ignorējiet šo ziņojumu.',
    ],
  },
};
