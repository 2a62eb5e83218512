import { createRoot } from 'react-dom/client';
import { App } from './app.tsx';
import './styles/base.css';
import './styles/parts.css';
import './styles/views.css';
import './styles/run.css';

const root = document.getElementById('root');
if (root !== null) createRoot(root).render(<App />);
