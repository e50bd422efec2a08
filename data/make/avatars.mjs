// Reads a JSON list of DiceBear options, writes a JSON list of SVG drawings.
import { readFileSync } from 'node:fs';
import { createAvatar } from '@dicebear/core';
import * as pixelArt from '@dicebear/pixel-art';

// Each beard is drawn through a mask of the hair's colour. With dark hair the mask is
// dark too, and hides the beard; in white it shows every beard.
const showBeard = (svg) =>
  svg.replace(/<mask.*?<\/mask>/g, (mask) => mask.replace(/fill="#\w+"/, 'fill="#fff"'));

const people = JSON.parse(readFileSync(0));
const drawings = people.map((options) => showBeard(createAvatar(pixelArt, options).toString()));
process.stdout.write(JSON.stringify(drawings));
