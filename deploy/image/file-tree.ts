/**
 * The file tree of the image, step by step. The Dockerfiles run these steps, and so does `npm run image`: tests check
 * without a container engine the files that an image holds.
 *
 * It is whole in itself: Node, the program, the packages it needs, and of the system the C and C++ libraries that these are
 * linked to. There is no shell, no package manager and no npm in it.
 */

import fs from 'node:fs';
import path from 'node:path';
import { bundle } from '../package/bundle.ts';
import { productionPackages } from './production-packages.ts';
import { debianPackages, sharedLibraries } from './shared-libraries.ts';

export interface TreeOptions {
  /** The checkout, with all packages installed. */
  readonly source: string;
  /** Where the tree is made. */
  readonly target: string;
  /** Keeps the CUDA provider of ONNX Runtime, where it was installed. */
  readonly cuda: boolean;
}

interface Step {
  readonly what: string;
  take(options: TreeOptions): void | Promise<void>;
}

/** The user that the image runs as: not root, and unknown to other systems. */
const USER = { name: 'tensorgate', id: 10_001 } as const;

/** For development by the lock file: the npm package brings its files for Linux, and the image those for its own platform. */
const ONNX_RUNTIME = 'node_modules/onnxruntime-node';
const ORT = `app/${ONNX_RUNTIME}/bin/napi-v6`;
/** The locale of glibc that Debian's essential package libc-bin contains. */
const C_LOCALE = '/usr/lib/locale/C.utf8';
/** For compilers and debuggers, not for running. */
const NOT_RUN = /\.map$|\.d\.[cm]?ts$/;

export const STEPS: readonly Step[] = [
  {
    what: 'bundle the program',
    take: ({ source, target }) => bundle(source, path.join(target, 'app/dist'), { types: false }),
  },
  {
    what: 'add what it reads, and its licence',
    take({ source, target }) {
      for (const name of ['package.json', 'LICENSE', 'NOTICE', 'proto', 'schema'])
        copy(path.join(source, name), path.join(target, 'app', name));
    },
  },
  {
    what: 'add the packages that it needs to run',
    take({ source, target }) {
      for (const folder of [...productionPackages(source), ONNX_RUNTIME]) {
        if (folder.startsWith('node_modules/@types/')) continue;
        copy(path.join(source, folder), path.join(target, 'app', folder), (file) => {
          // A package inside another one is an entry of its own.
          const inside = path.relative(path.join(source, folder), file);
          return !NOT_RUN.test(inside) && inside.split(path.sep)[0] !== 'node_modules';
        });
      }
    },
  },
  {
    what: 'leave out ONNX Runtime for other platforms',
    take({ target, cuda }) {
      const kept = path.join(target, ORT, process.platform, process.arch);
      for (const platform of ['darwin', 'linux', 'win32']) {
        for (const arch of ['arm64', 'x64']) {
          const folder = path.join(target, ORT, platform, arch);
          if (folder !== kept) fs.rmSync(folder, { recursive: true, force: true });
        }
        removeIfEmpty(path.join(target, ORT, platform));
      }
      const unwanted = cuda ? /^libonnxruntime_providers_tensorrt\.so$/ : /^libonnxruntime_providers_/;
      for (const file of fs.readdirSync(kept)) if (unwanted.test(file)) fs.rmSync(path.join(kept, file));
    },
  },
  {
    what: 'add Node',
    take({ target }) {
      copy(process.execPath, path.join(target, 'usr/local/bin/node'));
      // Where Node's own archive has it; the package of npm has none.
      const licence = path.join(path.dirname(process.execPath), '../LICENSE');
      if (fs.existsSync(licence)) copy(licence, path.join(target, 'usr/share/doc/node/LICENSE'));
    },
  },
  {
    what: 'add the libraries of the system that these are linked to',
    take({ source, target }) {
      const addons = filesIn(path.join(target, 'app/node_modules')).filter((file) => file.endsWith('.node'));
      const libraries = sharedLibraries([process.execPath, ...addons]).filter(
        (file) => !file.startsWith(target) && !file.startsWith(source),
      );
      for (const library of libraries) {
        linkLikeHere(target, library);
        copy(
          fs.realpathSync(library),
          path.join(target, fs.realpathSync(path.dirname(library)), path.basename(library)),
        );
      }
      // Scanners look in these files for the packages of an image without dpkg, as in distroless images.
      for (const { name, status, copyright } of debianPackages(libraries)) {
        write(path.join(target, 'var/lib/dpkg/status.d', name), `${status}\n`);
        copy(copyright, path.join(target, 'usr/share/doc', name, 'copyright'));
      }
    },
  },
  {
    what: 'add the locales that text models name',
    take({ target }) {
      copy(C_LOCALE, path.join(target, C_LOCALE));
      // ONNX Runtime's default for StringNormalizer. It uses only the classes and cases of letters, which the two share.
      fs.symlinkSync(path.basename(C_LOCALE), path.join(target, path.dirname(C_LOCALE), 'en_US.utf8'));
    },
  },
  {
    what: 'add its user, and the places of what is mounted',
    take({ target }) {
      const { name, id } = USER;
      write(
        path.join(target, 'etc/passwd'),
        `root:x:0:0:root:/:/sbin/nologin\n${name}:x:${id}:${id}::/:/sbin/nologin\n`,
      );
      write(path.join(target, 'etc/group'), `root:x:0:\n${name}:x:${id}:\n`);
      write(path.join(target, 'etc/nsswitch.conf'), 'hosts: files dns\n');
      for (const folder of ['dev', 'models', 'proc', 'sys', 'tmp']) fs.mkdirSync(path.join(target, folder));
    },
  },
  {
    what: 'let everybody read it, and nobody but root change it',
    take({ target }) {
      fs.chmodSync(target, 0o755);
      for (const entry of fs.readdirSync(target, { recursive: true, withFileTypes: true })) {
        const file = path.join(entry.parentPath, entry.name);
        if (entry.isDirectory()) fs.chmodSync(file, 0o755);
        else if (entry.isFile()) fs.chmodSync(file, fs.statSync(file).mode & 0o100 ? 0o755 : 0o644);
      }
      fs.chmodSync(path.join(target, 'tmp'), 0o1777);
    },
  },
];

function copy(from: string, to: string, filter: (file: string) => boolean = () => true): void {
  fs.mkdirSync(path.dirname(to), { recursive: true });
  fs.cpSync(from, to, { recursive: true, filter, verbatimSymlinks: true });
}

function write(file: string, text: string): void {
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file, text);
}

function filesIn(directory: string): readonly string[] {
  return fs
    .readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name));
}

function removeIfEmpty(directory: string): void {
  if (fs.existsSync(directory) && fs.readdirSync(directory).length === 0) fs.rmdirSync(directory);
}

/** Where /lib or /lib64 is a link here, it is one there: the loader's own path begins with it. */
function linkLikeHere(target: string, file: string): void {
  const top = `/${file.split('/')[1]}`;
  const link = path.join(target, top);
  if (!fs.lstatSync(top).isSymbolicLink() || fs.existsSync(link)) return;
  const to = fs.readlinkSync(top).replace(/^\//, '');
  fs.mkdirSync(path.join(target, to), { recursive: true });
  fs.symlinkSync(to, link);
}
