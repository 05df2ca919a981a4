"""A terminal that remembers what it shows, and draws it as SVG. It knows what a program with progress bars prints."""

import html
import re

SEQUENCE = re.compile(r"\x1b\[([?\d;]*)([A-Za-z])|\x1b\][^\x07]*\x07|\x1b[=>()][B0]?")
# One for each of the eight colours of terminals.
COLOURS = ["#5c6773", "#ff6b68", "#7fd88f", "#ffcb6b", "#82aaff", "#d4a5ff", "#89ddff", "#e6e6e6"]
GROUND, TEXT, FAINT = "#1b1e24", "#d7dce2", "#7c8794"
WIDTH, HEIGHT, MARGIN, BAR = 8.05, 18, 14, 26


class Screen:
    """Rows of cells, each a character and a style (colour, bold, faint)."""

    def __init__(self, columns):
        self.columns = columns
        self.rows = [[]]
        self.row = self.column = 0
        self.style = (None, False, False)
        self.rest = ""

    def feed(self, text):
        text = self.rest + text
        # What may be the beginning of a sequence waits for the rest of it.
        cut = text.rfind("\x1b")
        whole = cut < 0 or SEQUENCE.match(text, cut)
        text, self.rest = (text, "") if whole else (text[:cut], text[cut:])
        at = 0
        while at < len(text):
            sequence = SEQUENCE.match(text, at)
            if sequence:
                if sequence[2]:
                    self.control(sequence[1], sequence[2])
                at = sequence.end()
            else:
                self.put(text[at])
                at += 1

    def put(self, char):
        if char == "\r":
            self.column = 0
        elif char == "\n":
            self.move(self.row + 1)
        elif char >= " ":
            if self.column >= self.columns:
                self.move(self.row + 1)
                self.column = 0
            line = self.rows[self.row]
            line.extend([(" ", (None, False, False))] * (self.column + 1 - len(line)))
            line[self.column] = (char, self.style)
            self.column += 1

    def move(self, row):
        self.row = max(row, 0)
        while len(self.rows) <= self.row:
            self.rows.append([])

    def control(self, numbers, letter):
        number = int(numbers) if numbers.isdigit() else 0
        if letter == "A":
            self.move(self.row - max(number, 1))
        elif letter == "B":
            self.move(self.row + max(number, 1))
        elif letter == "C":
            self.column += max(number, 1)
        elif letter == "D":
            self.column = max(self.column - max(number, 1), 0)
        elif letter == "G":
            self.column = max(number, 1) - 1
        elif letter == "K":
            line = self.rows[self.row]
            self.rows[self.row] = [] if number == 2 else line[: self.column]
        elif letter == "J" and number == 0:
            del self.rows[self.row + 1 :]
            del self.rows[self.row][self.column :]
        elif letter == "m":
            self.paint([int(part or 0) for part in numbers.split(";")])

    def paint(self, codes):
        for code in codes:
            colour, bold, faint = self.style
            if code == 0:
                self.style = (None, False, False)
            elif code == 1:
                self.style = (colour, True, faint)
            elif code == 2:
                self.style = (colour, bold, True)
            elif 30 <= code <= 37:
                self.style = (COLOURS[code - 30], bold, faint)
            elif code == 39:
                self.style = (None, bold, faint)

    def lines(self):
        """What is shown, without empty rows at the end."""
        rows = [list(row) for row in self.rows]
        while rows and not "".join(char for char, _ in rows[-1]).strip():
            rows.pop()
        return rows


def plain(text, bold=False, faint=False):
    """A line of one style."""
    return [(char, (None, bold, faint)) for char in text]


def svg(lines, columns):
    """A picture of a terminal with these lines."""
    width = columns * WIDTH + 2 * MARGIN
    height = len(lines) * HEIGHT + BAR + 2 * MARGIN - 6
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" height="{height}">',
        f"<style>text {{ font: 13.4px ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace; fill: {TEXT};"
        f" white-space: pre }} .b {{ font-weight: 700 }} .f {{ fill: {FAINT} }}</style>",
        f'<rect width="100%" height="100%" rx="8" fill="{GROUND}"/>',
    ]
    for at, colour in enumerate(["#ff5f57", "#febc2e", "#28c840"]):
        out.append(f'<circle cx="{MARGIN + 6 + 18 * at}" cy="16" r="5.5" fill="{colour}"/>')
    for number, line in enumerate(lines):
        y = BAR + MARGIN + number * HEIGHT + 6
        for column, text, style in runs(line):
            out.append(draw(text, MARGIN + column * WIDTH, y, style))
    return "\n".join(out) + "\n</svg>\n"


def runs(line):
    """Stretches of one style that do not begin or end with a blank, each with its column."""
    at = 0
    while at < len(line):
        end = at
        while end < len(line) and line[end][1] == line[at][1]:
            end += 1
        text = "".join(char for char, _ in line[at:end])
        if text.strip():
            yield at + len(text) - len(text.lstrip()), text.strip(), line[at][1]
        at = end


def draw(text, x, y, style):
    colour, bold, faint = style
    classes = " ".join(name for name, on in (("b", bold), ("f", faint)) if on)
    attributes = (f' class="{classes}"' if classes else "") + (f' fill="{colour}" style="fill:{colour}"' if colour else "")
    # Every character gets its column, whatever font there is.
    length = f' textLength="{len(text) * WIDTH:.1f}" lengthAdjust="spacingAndGlyphs"'
    return f'<text x="{x:.1f}" y="{y}"{length}{attributes}>{html.escape(text, quote=False)}</text>'
