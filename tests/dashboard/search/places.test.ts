import { expect, it } from 'vitest';
import { matchPlaces } from '../../../app/(dashboard)/search/places.ts';

const place = (title: string, kind = 'page') => ({ title, href: `/${title}`, kind });
const places = [
  place('Today'),
  place('Posts'),
  place('posts', 'queue'),
  place('Ada', 'account'),
  place('Tokyo Ada', 'account'),
];
const found = (text: string) => matchPlaces(places, text).map(({ title, kind }) => `${kind} ${title}`);

it('the search box offers what begins with the text before what has it elsewhere', () => {
  expect(found('ada')).toEqual(['account Ada', 'account Tokyo Ada']);
  expect(found(' PO')).toEqual(['page Posts', 'queue posts']);
});

it('a kind finds all of its places, and a text that fits none finds none', () => {
  expect(found('account')).toEqual(['account Ada', 'account Tokyo Ada']);
  expect(found('+4930123')).toEqual([]);
});

it('no more than eight places are offered', () => {
  expect(
    matchPlaces(
      Array.from({ length: 20 }, (_, n) => place(`queue ${n}`)),
      '',
    ),
  ).toHaveLength(8);
});
