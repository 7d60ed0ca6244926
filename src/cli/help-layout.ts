import { type Command, Help } from 'commander';

const MAX_COLUMNS = 80;
/** A longer term has a line of its own, so that it does not push all descriptions to the right. */
const MAX_TERM_COLUMNS = 26;

/** Wraps the help of a command, and of the commands added to it later, at 80 columns, or at the width of a narrower terminal. */
export function layOutHelp(command: Command): void {
  command.configureHelp({
    padWidth: (of, helper) => Math.min(MAX_TERM_COLUMNS, Help.prototype.padWidth.call(helper, of, helper)),
    formatItem: (term, termWidth, description, helper) => {
      const format = (text: string): string =>
        Help.prototype.formatItem.call(helper, text, termWidth, description, helper);
      if (helper.displayWidth(term) <= termWidth || description === '') return format(term);
      return `  ${term}\n${format('')}`;
    },
  });
  command.configureOutput({
    getOutHelpWidth: () => columnsOf(process.stdout),
    getErrHelpWidth: () => columnsOf(process.stderr),
  });
}

/** Some terminals report 0 columns. */
function columnsOf({ columns }: NodeJS.WriteStream): number {
  return Math.min(MAX_COLUMNS, columns > 0 ? columns : MAX_COLUMNS);
}
